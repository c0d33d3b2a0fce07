// Making directories. Not by Node's recursive mkdir(): where mkdir(2) says ENOENT although the directory above is there, as
// below /proc, that tries again for ever.
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { errnoOf, messageOf } from "./errors.ts";

/**
 * Makes a directory, and those above it that are not there: each is tried once.
 * @param mode of each that is made, as far as the umask lets it
 * @param approve looks at the path before each: somebody else may have put a link where the last look saw nothing
 * @throws Error that names the one that cannot be made, with the system's code; what `approve` throws
 */
export async function makeDirectory(
  path: string,
  mode: number,
  approve = (): unknown => undefined,
): Promise<void> {
  const missing: string[] = [];
  for (let at = path; !(await isThere(at)); at = dirname(at)) {
    missing.unshift(at);
    if (dirname(at) === at) break;
  }
  for (const one of missing) {
    approve();
    await make(one, mode);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw cannot(path, error);
  }
  throw cannot(path, Object.assign(new Error("ENOTDIR: there is a file by that name"), { code: "ENOTDIR" }));
}

async function make(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (errnoOf(error) === "EEXIST" && (await isThere(path))) return;
    throw cannot(path, error);
  }
}

const cannot = (path: string, error: unknown): Error =>
  Object.assign(new Error(`the directory ${path} cannot be made: ${messageOf(error)}`, { cause: error }), {
    code: errnoOf(error),
  });
