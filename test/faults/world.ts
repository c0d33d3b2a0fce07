// Two hosts, one that things happen to and one that must not notice, with forwards to both and a transfer over the second.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { hearEvents } from "../../cli/event-stream.ts";
import type { Forward, Master } from "../../shared/records.ts";
import { atPath } from "../support/at-path.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Sshd, type SshdOptions, startSshd } from "../support/sshd.ts";
import { works } from "../support/tcp.ts";
import { startTransfer, type Transfer } from "./transfer.ts";

/** What the events said of one host: when, in milliseconds of performance.now(), and which state. */
interface Seen {
  at: number;
  state: Master["state"];
}

export interface World {
  /** the host `victim` */
  sshd: Sshd;
  tund: Tund;
  /** -L and -R through `victim`: the ports that lead to an echo */
  local: number;
  remote: number;
  /** what goes on over the other host */
  beside: Transfer;
  /** Adds a host that is the same server under another name. */
  addHost(name: string, settings: Readonly<Record<string, string | number>>): Promise<void>;
  /** A path for a Unix socket. */
  path(name: string): string;
  victim(): Promise<Master>;
  forwards(): Promise<Forward[]>;
  /** Settles with the moment at which `victim` was in that state after `since`. */
  seen(state: Master["state"], since: number, deadlineMs?: number): Promise<number>;
  /** Settles with the moment at which both forwards carry bytes. */
  serving(deadlineMs?: number): Promise<number>;
}

export interface WorldOptions {
  sshd?: SshdOptions;
  /** further settings of `victim` in ssh_config */
  settings?: Readonly<Record<string, string | number>>;
  /** where `victim` is reached instead of at its own port */
  port?: (sshd: Sshd) => Promise<number>;
}

/** Makes it for the running test. When that is over, the transfer must not have noticed anything. */
export async function startWorld({
  sshd: options = {},
  settings = {},
  port,
}: WorldOptions = {}): Promise<World> {
  const [sshd, steady] = await Promise.all([startSshd(options), startSshd()]);
  const echo = await echoServer();
  const reached =
    port === undefined ? {} : { Port: await port(sshd), HostKeyAlias: `[127.0.0.1]:${sshd.port}` };
  await sshd.addHost("victim", { ...reached, ...settings });
  await steady.addHost("steady");
  const config = join(sshd.directory, "both_config");
  const writeConfig = async () => {
    const texts = await Promise.all([sshd, steady].map((one) => readFile(one.sshConfig, "utf8")));
    await writeFile(config, texts.join("\n"));
  };
  await writeConfig();
  const tund = await startTund({ env: { TUND_SSH_CONFIG: config } });
  const ended = new AbortController();
  onTestFinished(async () => {
    ended.abort();
    await tund.stop();
    await Promise.all([sshd.stop(), steady.stop(), echo.close()]);
  });
  const [local, remote, other] = await Promise.all([freePort(), freePort(), freePort()]);
  const to = `127.0.0.1:${echo.port}`;
  await forward(tund, "-L", `${local}:${to}`, "-R", `${remote}:${to}`, "victim");
  await forward(tund, "-L", `${other}:${to}`, "steady");
  const beside = await startTransfer(other);
  onTestFinished(async () => {
    expect(beside.bytes()).toBeGreaterThan(0);
    await beside.end();
  });
  const seen = await watchVictim(tund.socket, ended.signal);
  return {
    sshd,
    tund,
    local,
    remote,
    beside,
    addHost: async (name, more) => {
      await sshd.addHost(name, more);
      await writeConfig();
    },
    path: (name) => join(sshd.directory, name),
    victim: () => victimOf(tund),
    forwards: async () => {
      const { stdout } = await tund.tunctl(["list", "--json", "victim"]);
      return (JSON.parse(stdout) as { forwards: Forward[] }).forwards;
    },
    seen: (state, since, deadlineMs = 20_000) =>
      eventually(() => seen.find((one) => one.state === state && one.at >= since)?.at ?? false, {
        deadlineMs,
      }),
    serving: async (deadlineMs = 30_000) => {
      await Promise.all([local, remote].map((each) => eventually(() => works(each), { deadlineMs })));
      return performance.now();
    },
  };
}

async function forward(tund: Tund, ...args: string[]): Promise<void> {
  const { code, stderr } = await tund.tunctl(["forward", ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

async function victimOf(tund: Tund): Promise<Master> {
  const { stdout } = await tund.tunctl(["status", "--json", "victim"]);
  const [master] = (JSON.parse(stdout) as { masters: Master[] }).masters;
  if (master === undefined) throw new Error("there is no such master");
  return master;
}

async function watchVictim(socket: string, signal: AbortSignal): Promise<Seen[]> {
  const seen: Seen[] = [];
  let isWatched = false;
  const hear = hearEvents(atPath(socket), {
    host: "victim",
    signal,
    hear: (event) => {
      isWatched = true;
      if (event.type === "master") seen.push({ at: performance.now(), state: event.master.state });
      return true;
    },
  });
  hear.catch(() => undefined); // the daemon has ended, or the test has
  await eventually(() => isWatched);
  return seen;
}

/** Prints how long a fault took to be noticed and to be over: what the suite measures, and never judges. */
export const report = (fault: string, times: Readonly<Record<string, number>>): void =>
  console.log(
    `measured: ${fault}: ${Object.entries(times)
      .map(([what, ms]) => `${what} ${Math.round(ms)} ms`)
      .join(", ")}`,
  );
