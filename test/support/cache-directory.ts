// Where tests keep between runs what takes long to make.
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Path of the directory, outside the tree and the current user's alone. @throws Error when it is somebody else's */
export function cacheDirectory(): string {
  const uid = process.getuid?.() ?? 0;
  const path = join(tmpdir(), `tunctl-test-servers-${uid}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const { uid: owner } = lstatSync(path);
  if (owner !== uid || !lstatSync(path).isDirectory()) throw new Error(`${path} is somebody else's`);
  chmodSync(path, 0o700);
  return path;
}
