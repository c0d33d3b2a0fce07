// Programs of other users, whom nobody has to make an account for: a number is enough (setpriv(1)).
import { spawnSync } from "node:child_process";
import { chownSync, cpSync, existsSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { nativeFile } from "../../shared/native/load.ts";
import { tempDir } from "./temp-dir.ts";

/** Two who have no account. */
export const [MALLORY, ALICE] = [54_321, 54_322];

/** What runs a program as a user. */
export const asUser = (uid: number): readonly [string, ...string[]] => [
  "setpriv",
  `--reuid=${uid}`,
  `--regid=${uid}`,
  "--clear-groups",
];

const dist = fileURLToPath(new URL("../../dist", import.meta.url));
export const native = join(dist, nativeFile(process.platform, process.arch));

/** Why no programs can be run as other users here, or null. */
export const whyNoOthers: string | null = (() => {
  if (process.getuid?.() !== 0) return "only root can run programs as other users";
  const [command, ...args] = [...asUser(MALLORY), process.execPath, join(dist, "tunctl.cjs"), "version"];
  const { status, error, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? null : `other users cannot run node or the programs: ${error?.message ?? stderr}`;
})();

/** The built tunctl without the compiled file, for everybody to run; it goes with the test. */
export async function withoutNative(): Promise<string> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  await chmod(directory.path, 0o755);
  for (const name of ["tunctl.cjs", "tunctl-all.cjs"]) cpSync(join(dist, name), join(directory.path, name));
  return join(directory.path, "tunctl.cjs");
}

/** Every tunctl there is: with the compiled file, where that is there, and without. */
export async function everyTunctl(): Promise<string[]> {
  if (!existsSync(native)) console.log(`skipped: tunctl with the compiled file, since there is no ${native}`);
  return [...(existsSync(native) ? [join(dist, "tunctl.cjs")] : []), await withoutNative()];
}

/** A directory of a user's, in one that all may look into; it goes with the test. */
export async function directoryOf(uid: number, mode = 0o755): Promise<string> {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  await chmod(directory.path, 0o755);
  const own = join(directory.path, "d");
  await mkdir(own);
  await chmod(own, mode);
  chownSync(own, uid, uid);
  return own;
}
