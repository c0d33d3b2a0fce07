// What is measured: tund, and `ssh -N -L` beside it, each with the same three forwards over the same sshd.
import { readFileSync } from "node:fs";
import { startInBackground } from "../test/support/background.ts";
import { startTund } from "../test/support/daemon.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import type { Sshd } from "../test/support/sshd.ts";
import { refuses } from "../test/support/tcp.ts";
import type { FarPorts } from "./generators.ts";

/** A program under test whose forwards stand. */
export interface Subject {
  name: "tund" | "ssh" | "bare";
  /** The near end of each forward. */
  ports: FarPorts;
  /** Processor seconds that it has used so far; NaN where there is no /proc. */
  processorSeconds(): number;
  stop(): Promise<void>;
}

/** What every subject is given. */
export interface Setting {
  sshd: Sshd;
  far: FarPorts;
  /** null: whatever the program prefers */
  ciphers: string | null;
}

/** The arguments that set up the forwards, and where their near ends are. */
async function forwards({ far, ciphers }: Setting): Promise<{ ports: FarPorts; args: string[] }> {
  const ports = { source: await freePort(), sink: await freePort(), echo: await freePort() };
  const names = ["source", "sink", "echo"] as const;
  const flags = names.flatMap((name) => ["-L", `127.0.0.1:${ports[name]}:127.0.0.1:${far[name]}`]);
  return { ports, args: [...(ciphers === null ? [] : ["-o", `Ciphers=${ciphers}`]), ...flags, "testhost"] };
}

/** Loopback with nothing between the load generators: what they could do at most. */
export const bareSubject = (far: FarPorts): Subject => ({
  name: "bare",
  ports: far,
  processorSeconds: () => Number.NaN,
  stop: async () => {},
});

/** Starts tund, and has it set up the forwards. */
export async function startTundSubject(setting: Setting): Promise<Subject> {
  const { ports, args } = await forwards(setting);
  const tund = await startTund({ env: { TUND_SSH_CONFIG: setting.sshd.sshConfig } });
  const { code, stderr } = await tund.tunctl(["forward", ...args]);
  if (code !== 0) {
    await tund.stop();
    throw new Error(`tunctl forward: ${stderr}${tund.log()}`);
  }
  return {
    name: "tund",
    ports,
    processorSeconds: () => processorSeconds(tund.pid),
    stop: async () => void (await tund.stop()),
  };
}

/** Starts `ssh -N -L`. */
export async function startSshSubject(setting: Setting): Promise<Subject> {
  const { ports, args } = await forwards(setting);
  const fixed = [
    "-F",
    setting.sshd.sshConfig,
    "-N",
    "-o",
    "ExitOnForwardFailure=yes",
    "-o",
    "ControlPath=none",
  ];
  const ssh = await startInBackground("ssh", [...fixed, ...args], {
    env: process.env,
    cwd: setting.sshd.directory,
  });
  const stop = async (): Promise<void> => {
    ssh.kill("SIGTERM");
    await ssh.end;
  };
  try {
    // The last one: ssh binds them in the order given.
    await eventually(async () => ssh.ended() || !(await refuses(ports.echo)));
    if (ssh.ended()) throw new Error(`ssh ended: ${ssh.log()}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { name: "ssh", ports, processorSeconds: () => processorSeconds(ssh.pid), stop };
}

function processorSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // proc(5): utime and stime are fields 14 and 15, in hundredths of a second; counted from behind the program's name.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}
