// Other users of the machine, as whom the programs are run: what they may do to each other is for root alone to try.
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { startTund, type Tund } from "./daemon.ts";
import { eventually } from "./eventually.ts";
import { type Outcome, run } from "./run.ts";
import { tempDir } from "./temp-dir.ts";

/** Two that every machine has and nobody is: who runs the programs, and somebody else. */
export const US = 65_534; // nobody
export const THEM = 1; // daemon

/** What starts a program as a user, with no other groups than the one of that number. */
export const as = (uid: number): readonly string[] => ["setpriv", ...identity(uid)];

const identity = (uid: number) => [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--"];

/** Why there are no other users here, or undefined. */
export function whyNoUsers(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can be other users";
  const program = [process.execPath, "dist/tund.cjs", "--version"];
  const { status, stderr, error } = spawnSync("setpriv", [...identity(US), ...program], { encoding: "utf8" });
  return status === 0 ? undefined : `the programs cannot be run as another user: ${error?.message ?? stderr}`;
}

/** Makes a directory that belongs to a user, and to the group of the same number if no other is given. */
export function directoryOf(uid: number, path: string, mode = 0o700, gid = uid): string {
  mkdirSync(path);
  chownSync(path, uid, gid);
  chmodSync(path, mode);
  return path;
}

/** A directory of root's for the running test, through which everybody can go. */
export async function commonPlace(): Promise<string> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  chmodSync(directory.path, 0o755);
  return directory.path;
}

/** Runs one of the built programs to its end, as a user, with no more in its environment than PATH and this. */
export const runAs = (
  uid: number,
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Outcome> =>
  run("setpriv", [...identity(uid), process.execPath, `dist/${program}.cjs`, ...args], {
    env: { PATH: process.env["PATH"], ...env },
    deadlineMs: 15_000,
  });

/** Starts tund as US, at home in a new directory below `place`. It is stopped when the test is over. */
export async function startAsUs(place: string, env: Record<string, string | undefined>): Promise<Tund> {
  const tund = await startAs(US, directoryOf(US, join(place, "home")), env);
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

/** Starts tund as a user, in a directory of theirs. Who asks for it stops it. */
export function startAs(uid: number, home: string, env: Record<string, string | undefined>): Promise<Tund> {
  directoryOf(uid, join(home, "run"));
  writeFileSync(join(home, "ssh_config"), "");
  return startTund({ home, env, within: as(uid) });
}

export interface Account {
  name: string;
  /** its uid, and the number of a group of its own that has its name */
  uid: number;
  home: string;
}

/** Makes an account, as a person has one, with a home below `place`. Who asks for it removes it. */
export async function makeAccount(place: string): Promise<Account & { remove(): Promise<void> }> {
  const account = {
    name: `t${process.pid}`,
    uid: 40_000 + (process.pid % 20_000),
    home: join(place, "person"),
  };
  const id = String(account.uid);
  // Whoever changes passwd(5) has it alone meanwhile.
  const must = (program: string, ...args: string[]) =>
    eventually(() => {
      const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
      if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
    });
  await must("groupadd", "-g", id, account.name);
  await must("useradd", "-u", id, "-g", id, "-M", "-d", account.home, "-s", "/bin/sh", account.name);
  directoryOf(account.uid, account.home, 0o755);
  return { ...account, remove: () => must("userdel", account.name) };
}
