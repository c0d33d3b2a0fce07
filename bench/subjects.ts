// What is measured: tund, and `ssh -N` beside it, each with the same forwards over the same sshd.
import { startInBackground } from "../test/support/background.ts";
import { startTund, type Tund } from "../test/support/daemon.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import { processorMs } from "../test/support/process-figures.ts";
import type { Sshd } from "../test/support/sshd.ts";
import { refuses } from "../test/support/tcp.ts";
import type { FarPorts } from "./generators.ts";

/** A program under test whose forwards stand. */
export interface Subject {
  name: "tund" | "ssh";
  pid: number;
  /** the near end of each forward, and of a SOCKS proxy */
  ports: FarPorts & { socks: number };
  /** its daemon, and the way to ask it; null for ssh */
  tund: Tund | null;
  /** processor time that it has used so far, in seconds */
  processorSeconds(): number;
  stop(): Promise<void>;
}

/** What every subject is given. */
export interface Setting {
  sshd: Sshd;
  far: FarPorts;
  /** the name in its ssh_config; testhost if none is given */
  host?: string;
  /** null: whatever the program prefers */
  ciphers?: string | null;
}

/** The arguments that set up the forwards, and where their near ends are. */
async function forwards({
  far,
  host = "testhost",
  ciphers = null,
}: Setting): Promise<{ ports: Subject["ports"]; args: string[] }> {
  const ports = {
    source: await freePort(),
    sink: await freePort(),
    echo: await freePort(),
    socks: await freePort(),
  };
  const names = ["source", "sink", "echo"] as const;
  const flags = names.flatMap((name) => ["-L", `127.0.0.1:${ports[name]}:127.0.0.1:${far[name]}`]);
  const options = ciphers === null ? [] : ["-o", `Ciphers=${ciphers}`];
  return { ports, args: [...options, ...flags, "-D", `127.0.0.1:${ports.socks}`, host] };
}

/** Starts tund, and has it set up the forwards. @throws Error with its log when it cannot */
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
    pid: tund.pid,
    ports,
    tund,
    processorSeconds: () => processorMs(tund.pid) / 1000,
    stop: async () => void (await tund.stop()),
  };
}

/** The arguments of an ssh that is a master and nothing else. */
export const masterArguments = (sshd: Sshd, controlPath: string): string[] => [
  "-F",
  sshd.sshConfig,
  "-N",
  "-o",
  "BatchMode=yes",
  "-o",
  "ExitOnForwardFailure=yes",
  ...(controlPath === "none" ? ["-o", "ControlPath=none"] : ["-M", "-S", controlPath]),
];

/** Starts `ssh -N -L`; with a ControlPath, a master that `ssh -O` can speak to. @throws Error with its words when it ends */
export async function startSshSubject(setting: Setting, controlPath = "none"): Promise<Subject> {
  const { ports, args } = await forwards(setting);
  const { sshd } = setting;
  const ssh = await startInBackground("ssh", [...masterArguments(sshd, controlPath), ...args], {
    env: process.env,
    cwd: sshd.directory,
  });
  const stop = async (): Promise<void> => {
    ssh.kill("SIGTERM");
    await ssh.end;
  };
  try {
    // The last one: ssh binds them in the order given, -D after -L.
    await eventually(async () => ssh.ended() || !(await refuses(ports.socks)));
    if (ssh.ended()) throw new Error(`ssh ended: ${ssh.log()}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    name: "ssh",
    pid: ssh.pid,
    ports,
    tund: null,
    processorSeconds: () => processorMs(ssh.pid) / 1000,
    stop,
  };
}

/** Both of them, for as long as `use` takes. */
export async function withSubjects(
  setting: Setting,
  use: (subjects: readonly Subject[]) => Promise<void>,
): Promise<void> {
  const tund = await startTundSubject(setting);
  try {
    const ssh = await startSshSubject(setting);
    try {
      await use([tund, ssh]);
    } finally {
      await ssh.stop();
    }
  } finally {
    await tund.stop();
  }
}
