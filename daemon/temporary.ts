// Directories for what lives for a moment and nobody else may touch.
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { judge } from "../shared/trusted-path.ts";

/**
 * Makes a directory of ours alone, in one that nobody else can take it out of: TMPDIR may be somebody else's (sudo -E, su).
 * @throws Error when there is no such place
 */
export async function temporaryDirectory(prefix: string): Promise<string> {
  let why = "";
  for (const place of new Set([tmpdir(), "/tmp"])) {
    const made = await mkdtemp(join(place, prefix));
    const { refusal } = judge(made, "private");
    if (refusal === null) return made;
    why ||= refusal.why;
    await rmdir(made).catch(() => undefined);
  }
  throw new Error(`there is no place for temporary files that is safe from others: ${why}; set TMPDIR`);
}
