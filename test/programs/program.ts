// Programs that a machine may lack. Where one is missing its tests are skipped, and say so.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";

/** Whether a program can be started, by name (from PATH) or by path. */
export const isThere = (program: string): boolean =>
  spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;

/** `describe`, or a skipped one that prints which program is missing. */
export function describeWith(programs: Readonly<Record<string, boolean>>) {
  const missing = Object.keys(programs).filter((name) => !programs[name]);
  if (missing.length === 0) return describe;
  console.log(`skipped: ${missing.join(", ")} not installed`);
  return describe.skip;
}

/** PostgreSQL's server programs, which Debian keeps off PATH; undefined where there is no server. */
export function postgresPrograms(): string | undefined {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base) : [];
  return versions.map((version) => join(base, version, "bin")).find((bin) => existsSync(join(bin, "initdb")));
}
