// Files of our own that are obeyed: opened without following links, and judged by the descriptor.
import { constants, fstatSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { errnoOf } from "../shared/errors.ts";
import { quoted, whyNotOwnFile } from "../shared/trusted-path.ts";

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

/** What keeps a name from leading anywhere else, and whatever has it from keeping us waiting. */
export const UNFOLLOWED = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/** The file is not ours alone: what it says is not to be obeyed. `message` is one line, with what to do. */
export class NotOwnFile extends Error {
  override readonly name = "NotOwnFile";
}

/** Opens a file to read it. @throws NotOwnFile; what the file system throws */
export async function openOwn(path: string): Promise<FileHandle> {
  const file = await open(path, O_RDONLY | UNFOLLOWED).catch((error: unknown) => {
    throw errnoOf(error) === "ELOOP" ? notOwn(path, `${path} is a symbolic link`, null) : error;
  });
  try {
    refuseForeign(path, file.fd);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Judges what is open. @throws NotOwnFile */
export function refuseForeign(path: string, fd: number): void {
  // Synchronous, since open() has just brought what it asks for.
  const refusal = whyNotOwnFile(path, fstatSync(fd));
  if (refusal !== null) throw notOwn(path, refusal.why, refusal.next);
}

const notOwn = (path: string, why: string, next: string | null): NotOwnFile => {
  const keep = next === null ? "" : `, or ${next} if all that it says is yours`;
  return new NotOwnFile(
    `${why}, and is not obeyed: move it away (mv ${quoted(path)} ${quoted(`${path}.aside`)})${keep}`,
  );
};

/** Makes a file (0600) to be written, in the place of any by that name. @throws what the file system throws */
export async function createOwn(path: string): Promise<FileHandle> {
  await unlinkIfThere(path);
  return open(path, O_WRONLY | O_CREAT | O_EXCL | UNFOLLOWED, 0o600);
}

/** Removes a name, if it is there. @throws what the file system throws */
export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (errnoOf(error) !== "ENOENT") throw error;
  });
}
