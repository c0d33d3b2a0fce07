// What is put side by side: tund, and OpenSSH's own ssh, each as a master to which forwards are added.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { join } from "node:path";
import { expect } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { startInBackground } from "../support/background.ts";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type Outcome, run } from "../support/run.ts";
import type { Peer } from "./peers.ts";

export type Flag = "-L" | "-R" | "-D";

/** A client that has logged in to a server, and keeps the connection. */
export interface Client {
  name: "ssh" | "tund";
  /** Sets a forward up. `stdout` has the port that -R 0 got. */
  forward(flag: Flag, spec: string): Promise<Outcome>;
  cancel(flag: Flag, spec: string): Promise<Outcome>;
  check(): Promise<Outcome>;
  /** Starts it with its stdin and stdout joined to a channel (-W). Who starts it ends it. */
  stdio(destination: string): ChildProcessWithoutNullStreams;
  /** what it says of forwards that carried nothing; nothing when it says nothing */
  complaint(): Promise<string>;
  /** Waits until it has noticed that the connection is gone; gives what it says of it. */
  goodbye(): Promise<string>;
  /** what it has said besides */
  log(): string;
  stop(): Promise<void>;
}

const DEADLINE_MS = 30_000;
// There are servers that never answer whether they listen.
const ANSWER_DEADLINE_MS = 10_000;

/** Logs in with ssh -M. @throws Error with its words when that fails */
export async function sshTo(peer: Peer, host = "testhost"): Promise<Client> {
  const mux = join(peer.directory, `mux-${host}`);
  const base = ["-F", peer.sshConfig, "-S", mux, "-o", "BatchMode=yes"];
  const master = await startInBackground("ssh", [...base, "-M", "-N", host], {
    env: process.env,
    cwd: peer.directory,
  });
  const ask = (...args: string[]) =>
    run("ssh", [...base, "-o", "ControlMaster=no", ...args, host], { deadlineMs: DEADLINE_MS });
  const stop = async () => {
    master.kill("SIGKILL");
    await master.end;
  };
  await eventually(async () => master.ended() || (await ask("-O", "check")).code === 0, {
    deadlineMs: DEADLINE_MS,
  });
  if (master.ended()) throw new Error(master.log().trim());
  return {
    name: "ssh",
    forward: (flag, spec) =>
      run("ssh", [...base, "-o", "ControlMaster=no", "-O", "forward", flag, spec, host], {
        deadlineMs: ANSWER_DEADLINE_MS,
      }),
    cancel: (flag, spec) => ask("-O", "cancel", flag, spec),
    check: () => ask("-O", "check"),
    stdio: (destination) => spawn("ssh", [...base, "-o", "ControlMaster=no", "-W", destination, host]),
    complaint: () => Promise.resolve(lastLine(master.log())),
    goodbye: async () => {
      await master.end;
      return master.log().trim();
    },
    log: () => master.log(),
    stop,
  };
}

/** Logs in with tund. @throws Error with tunctl's words when that fails */
export async function tundTo(peer: Peer, host = "testhost"): Promise<Client> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: peer.sshConfig, TUND_LOG_LEVEL: "debug" } });
  const ask = (...args: string[]) => tund.tunctl(args, { deadlineMs: DEADLINE_MS });
  const { code, stderr } = await ask("connect", host);
  if (code !== 0) {
    await tund.stop();
    throw new Error(stderr.trim());
  }
  const listed = async () => {
    const { stdout } = await ask("status", "--json");
    return JSON.parse(stdout) as { masters: Master[]; forwards?: Forward[] };
  };
  const forwards = async () =>
    (JSON.parse((await ask("list", "--json")).stdout) as { forwards: Forward[] }).forwards;
  return {
    name: "tund",
    forward: (flag, spec) => ask("forward", "--timeout", String(ANSWER_DEADLINE_MS / 1000), flag, spec, host),
    cancel: (flag, spec) => ask("cancel", flag, spec, host),
    check: () => ask("check", host),
    stdio: (destination) =>
      spawn(process.execPath, ["dist/tunctl.cjs", "--socket", tund.socket, "-W", destination, host]),
    complaint: async () => (await forwards()).flatMap(({ failure }) => failure?.message ?? []).at(-1) ?? "",
    goodbye: () =>
      eventually(async () => {
        const [master] = (await listed()).masters;
        expect(master?.state).not.toBe("ready");
        return master?.failure?.message ?? "";
      }),
    log: () => tund.log(),
    stop: async () => void (await tund.stop()),
  };
}

const lastLine = (text: string): string => text.trim().split(/\r?\n/).at(-1) ?? "";
