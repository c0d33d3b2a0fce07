// A PATH with programs of the test's in the place of the system's.
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./run.ts";
import { tempDir } from "./temp-dir.ts";

/** By a program's name, a script for sh in its place, in which REAL is the system's; null takes the program away. */
export type Scripts = Readonly<Record<string, string | null>>;

export interface Path {
  /** the directory with these programs before all that the system has */
  PATH: string;
  /** the directory alone */
  at: string;
  remove(): Promise<void>;
}

/** Makes it of these programs. Who makes it removes it. */
export async function makePath(programs: readonly string[], scripts: Scripts): Promise<Path> {
  const place = await tempDir();
  const at = join(place.path, "bin");
  await mkdir(at);
  for (const name of programs) {
    const script = scripts[name];
    if (script === null) continue;
    const real = (await run("sh", ["-c", `command -v ${name}`])).stdout.trim();
    if (script === undefined) await symlink(real, join(at, name));
    else await writeFile(join(at, name), `#!/bin/sh\n${script.replaceAll("REAL", real)}\n`, { mode: 0o755 });
  }
  return { PATH: `${at}:${process.env["PATH"]}`, at, remove: () => place.remove() };
}
