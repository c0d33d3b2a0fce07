// Users by number, for whoever reads of them.
import { readFileSync } from "node:fs";

/** The name of a user in passwd(5); undefined when it is not there, as that of a directory service. Never throws. */
export function userOf(uid: number): string | undefined {
  try {
    const entries = readFileSync("/etc/passwd", "utf8").split("\n");
    const [name] = entries.map((entry) => entry.split(":")).find(([, , id]) => id === String(uid)) ?? [];
    return name || undefined;
  } catch {
    return undefined;
  }
}
