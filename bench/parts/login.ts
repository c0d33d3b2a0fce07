// Logins: from the start of `tunctl connect` to its end, beside `ssh -fN`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startTund, type Tund } from "../../test/support/daemon.ts";
import { makeKey } from "../../test/support/ssh-key.ts";
import { startSshd, type Sshd } from "../../test/support/sshd.ts";
import { type Bench, type Part, timed, times } from "../bench.ts";
import type { Measure } from "../measures.ts";

const TUNCTL = resolve(import.meta.dirname, "../../dist/tunctl.cjs");
const HOSTS = 12;
const WARM = 3; // in each round
const PASSPHRASE = "a passphrase";
const KEYS = ["plain", "encrypted"] as const;
type KeyName = (typeof KEYS)[number];

const called: Readonly<Record<KeyName, string>> = {
  plain: "key without a passphrase",
  encrypted: "key with a passphrase",
};

const ms = (name: string, title: string, mark?: Measure["mark"]): Measure => ({
  name: `login.${name}`,
  title,
  unit: "ms",
  digits: 0,
  better: "less",
  beside: "ssh -fN",
  ...(mark !== undefined && { mark }),
});

const measures: readonly Measure[] = KEYS.flatMap((key) => [
  ms(`${key}.first`, `first \`tunctl connect\` of a fresh tund, ${called[key]}`, { of: "ratio", most: 1.5 }),
  ms(`${key}.warm`, `later ones, ${called[key]}`),
  ms(`${key}.all`, `${HOSTS} hosts at once, fresh tund, until the last is ready, ${called[key]}`),
]);

/** A program from its start to its exit, which for ssh -f is that of its foreground. @throws Error when it fails */
const exitMs = (program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> =>
  timed(async () => {
    const child = spawn(program, args, { env, stdio: "ignore" });
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new Error(`${program} ${args.join(" ")}: exit code ${code}`);
  });

interface Stage {
  bench: Bench;
  sshd: Sshd;
  /** what both are started with: the passphrase comes from an askpass program, as it does from a desktop's */
  env: NodeJS.ProcessEnv;
}

const hostsOf = (key: KeyName): string[] => Array.from({ length: HOSTS }, (_, index) => `${key}${index}`);

/** An sshd with a key of each kind, under a dozen names for each. */
async function startStage(bench: Bench): Promise<Stage> {
  const lines: string[] = [];
  const sshd = await startSshd({
    config: ["MaxStartups 1000"],
    authorizedKeys: () => lines,
    prepare: async (directory) => {
      for (const key of KEYS) {
        const passphrase = key === "plain" ? "" : PASSPHRASE;
        lines.push((await makeKey(join(directory, key), "ed25519", passphrase)).publicKey);
      }
    },
  });
  for (const key of KEYS)
    for (const [index, host] of hostsOf(key).entries())
      // Each is another connection only if something that decides it is different.
      await sshd.addHost(host, {
        IdentityFile: join(sshd.directory, key),
        ServerAliveInterval: 1000 + index,
      });
  const askpass = join(sshd.directory, "askpass");
  await writeFile(askpass, `#!/bin/sh\necho '${PASSPHRASE}'\n`, { mode: 0o700 });
  const env = { PATH: process.env["PATH"], SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: "force" };
  return { bench, sshd, env };
}

const bareNode = (env: NodeJS.ProcessEnv): Promise<number> => exitMs(process.execPath, ["-e", "0"], env);
const allAtOnce = (hosts: readonly string[], start: (host: string) => Promise<unknown>): Promise<number> =>
  timed(() => Promise.all(hosts.map(start)));

/** What node takes to start is not counted: it is the price of tunctl being a program for Node, and told by "Commands". */
async function ofTund({ bench: { record }, sshd, env }: Stage, key: KeyName): Promise<void> {
  const hosts = hostsOf(key);
  const [first = ""] = hosts;
  const fresh = async (use: (tund: Tund, connect: (host: string) => Promise<number>) => Promise<void>) => {
    const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
    const ours = { ...env, TUND_SOCKET: tund.socket };
    try {
      await use(tund, (host) => exitMs(process.execPath, [TUNCTL, "connect", host], ours));
    } finally {
      await tund.stop();
    }
  };
  await fresh(async (tund, connect) => {
    const bare = await bareNode(env);
    record(`login.${key}.first`, "tund", (await connect(first)) - bare);
    await times(WARM, async () => {
      await tund.tunctl(["exit", first]);
      record(`login.${key}.warm`, "tund", (await connect(first)) - (await bareNode(env)));
    });
  });
  await fresh(async (_, connect) => {
    const bare = await allAtOnce(hosts, () => bareNode(env));
    record(`login.${key}.all`, "tund", (await allAtOnce(hosts, connect)) - bare);
  });
}

async function ofSsh({ bench: { record }, sshd, env }: Stage, key: KeyName): Promise<void> {
  const hosts = hostsOf(key);
  const [first = ""] = hosts;
  const socketOf = (host: string) => join(sshd.directory, `mux-${host}`);
  const ssh = (host: string, ...args: string[]) =>
    exitMs("ssh", ["-F", sshd.sshConfig, "-S", socketOf(host), ...args, host], env);
  const connect = (host: string) => ssh(host, "-M", "-f", "-N");
  const exit = (host: string) => ssh(host, "-O", "exit");
  await times(WARM, async () => {
    const took = await connect(first);
    await exit(first);
    for (const name of ["first", "warm"]) record(`login.${key}.${name}`, "beside", took);
  });
  record(`login.${key}.all`, "beside", await allAtOnce(hosts, connect));
  await Promise.all(hosts.map(exit));
}

async function takeTurns(stage: Stage, key: KeyName, turns: readonly (typeof ofTund)[]): Promise<void> {
  for (const turn of turns) await turn(stage, key);
}

async function run(bench: Bench): Promise<void> {
  const stage = await startStage(bench);
  try {
    for (let round = 0; round < bench.rounds; round++)
      for (const key of KEYS)
        await takeTurns(stage, key, round % 2 === 0 ? [ofTund, ofSsh] : [ofSsh, ofTund]);
  } finally {
    await stage.sshd.stop();
  }
}

/** Logins. */
export const login: Part = { name: "login", title: "Logins", measures, run };
