// Whether the processor has instructions for AES. Without them ChaCha20-Poly1305 is the quicker cipher (three times with
// ssh2's compiled ciphers, twice without); with them AES-GCM is, compiled or not.
import { closeSync, openSync, readSync } from "node:fs";

/**
 * Reads it off the first processor's flags (x86) or features (Arm) in /proc/cpuinfo. True where that says nothing: on
 * macOS, whose processors all have them, and on processors that list them otherwise.
 * @param cpuInfo gives the beginning of /proc/cpuinfo; it may throw
 */
export function hasAesInstructions(cpuInfo: () => string = readCpuInfo): boolean {
  try {
    const [, flags] = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuInfo()) ?? [];
    return flags === undefined || flags.split(" ").includes("aes");
  } catch {
    return true;
  }
}

// No more than it takes: the kernel writes it as it is read, a page and more for each processor.
const BEGINNING = 16 * 1024;

function readCpuInfo(): string {
  const file = openSync("/proc/cpuinfo", "r");
  try {
    const text = Buffer.alloc(BEGINNING);
    return text.toString("latin1", 0, readSync(file, text));
  } finally {
    closeSync(file);
  }
}
