import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TempDir {
  path: string;
  /** Removes it with all that is in it; a second time is no error. */
  remove(): Promise<void>;
}

// What a path below may still need of the 103 bytes that a Unix socket's path can have on macOS.
const LONGEST_PARENT = 40;

/** Makes a fresh directory, 0700, with a path short enough for Unix sockets in it. Who asks for it removes it. */
export async function tempDir(): Promise<TempDir> {
  const parent = tmpdir().length > LONGEST_PARENT ? "/tmp" : tmpdir();
  const path = await mkdtemp(join(parent, "t-"));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}
