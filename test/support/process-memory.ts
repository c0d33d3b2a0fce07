// What lies in the memory of a process (Linux).
import { type FileHandle, open } from "node:fs/promises";
import { readFileSync } from "node:fs";

const has = async (
  memory: FileHandle,
  [at, end]: readonly [number, number],
  bytes: Buffer,
): Promise<boolean> => {
  try {
    const { buffer } = await memory.read(Buffer.alloc(end - at), 0, end - at, at);
    return buffer.includes(bytes);
  } catch {
    return false; // not to be read, as some mappings of the kernel's are
  }
};

/** Whether the writable memory of a process has these bytes somewhere; null where it may not be looked at. */
export async function memoryHas(pid: number, bytes: Buffer): Promise<boolean | null> {
  const memory = await open(`/proc/${pid}/mem`).catch(() => null);
  if (memory === null) return null;
  try {
    const maps = readFileSync(`/proc/${pid}/maps`, "utf8").matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm);
    for (const [, from = "", to = ""] of maps)
      if (await has(memory, [Number.parseInt(from, 16), Number.parseInt(to, 16)], bytes)) return true;
    return false;
  } finally {
    await memory.close();
  }
}
