// A file of states, of which the last counts: each is appended, and now and then the file is replaced by the last alone.
// An append takes two calls and one flush of the disk, a replacement thirteen and two: 0.3 and 1 ms (ext4, SSD).
import { constants, fstatSync } from "node:fs";
import { copyFile, type FileHandle, link, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf, messageOf } from "../shared/errors.ts";
import { makeDirectory } from "../shared/make-directory.ts";
import { createOwn, UNFOLLOWED, unlinkIfThere } from "./own-file.ts";

const MOST_BYTES = 256 * 1024;
const { O_WRONLY, O_APPEND, O_DSYNC, O_RDONLY } = constants;

interface Written {
  inode: number;
  size: number;
}

/** A state that could not be written, and may be on disk all the same: what was there could not be put back. */
export class UndecidedError extends Error {
  override readonly name = "UndecidedError";
}

export class StateFile {
  readonly #path: string;
  readonly #temporary: string;
  /** the file as it was written last; it is replaced when there is none, or another one by now */
  #written: Written | undefined;

  /** @param path where it is; its directory is made (0700) when it is first written to */
  constructor(path: string) {
    this.#path = path;
    this.#temporary = join(dirname(path), `.${basename(path)}.new`);
  }

  /**
   * Makes `state` the last one: complete on disk once this settles. One call at a time.
   * @throws Error of the system; the last state is then the one before. UndecidedError when it may be either
   */
  async write(state: unknown): Promise<void> {
    const written = this.#written;
    const line = Buffer.from(`${JSON.stringify(state)}\n`);
    if (written !== undefined && written.size + line.length <= MOST_BYTES) {
      const file = await this.#opened(written);
      if (file !== undefined) return this.#append(file, line, written);
    }
    // What fails from here on leaves a file that is not the one that was written.
    this.#written = undefined;
    this.#written = await this.#replace(Buffer.from(`${JSON.stringify(state, null, 2)}\n`));
  }

  // Anew each time: somebody may have moved it away, put another in its place, or changed it; then there is nothing to append to.
  async #opened(written: Written): Promise<FileHandle | undefined> {
    try {
      // With O_DSYNC a write is a flush as well.
      const file = await open(this.#path, O_WRONLY | O_APPEND | O_DSYNC | UNFOLLOWED);
      // Synchronous, since open() has just brought what it asks for.
      const { ino, size } = fstatSync(file.fd);
      if (ino === written.inode && size === written.size) return file;
      await file.close();
      return undefined;
    } catch (error) {
      if (["ENOENT", "ELOOP"].includes(errnoOf(error) ?? "")) return undefined;
      throw error;
    }
  }

  async #append(file: FileHandle, line: Buffer, { inode, size }: Written): Promise<void> {
    try {
      await file.appendFile(line);
      this.#written = { inode, size: size + line.length };
    } catch (error) {
      // Nothing is appended any more to a file of which a write has failed.
      this.#written = undefined;
      // What there is of it must not be taken for a state.
      await undo(error, () => cutBack(file, size));
    } finally {
      // All is on disk, so there is nothing to wait for.
      file.close().catch(() => undefined);
    }
  }

  // A rename replaces the file at once; without a flush of both it could still be lost, or be empty, after a power cut.
  async #replace(text: Buffer): Promise<Written> {
    const directory = dirname(this.#path);
    await makeDirectory(directory, 0o700);
    const before = `${this.#temporary}.before`;
    try {
      const written = await writeDurably(this.#temporary, text);
      await unlinkIfThere(before);
      const isThere = await keepIfThere(this.#path, before);
      await rename(this.#temporary, this.#path);
      try {
        await flushEntries(directory);
      } catch (error) {
        await undo(error, () => (isThere ? rename(before, this.#path) : unlink(this.#path)));
      }
      return written;
    } finally {
      await unlinkIfThere(this.#temporary).catch(() => undefined);
      await unlinkIfThere(before).catch(() => undefined);
    }
  }
}

/** Takes back what was half done. @throws what it failed with, or UndecidedError when it cannot be taken back */
async function undo(error: unknown, takeBack: () => Promise<void>): Promise<never> {
  try {
    await takeBack();
  } catch (cause) {
    throw new UndecidedError(messageOf(error), { cause });
  }
  throw error;
}

/** Keeps a file under a second name. Gives whether there is one. */
async function keepIfThere(path: string, name: string): Promise<boolean> {
  try {
    await link(path, name).catch(async (error: unknown) => {
      if (errnoOf(error) === "ENOENT") throw error;
      await copyFile(path, name, constants.COPYFILE_EXCL); // not every file system has second names
    });
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

async function writeDurably(path: string, text: Buffer): Promise<Written> {
  const file = await createOwn(path);
  try {
    await file.writeFile(text);
    await file.sync();
    return { inode: (await file.stat()).ino, size: text.length };
  } finally {
    await file.close();
  }
}

async function flushEntries(path: string): Promise<void> {
  const directory = await open(path, O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function cutBack(file: FileHandle, size: number): Promise<void> {
  await file.truncate(size);
  await file.sync();
}

/** The states in a file's text, oldest first, and what is no state by itself: only the first may have several lines. */
export const statesIn = (text: string): string[] => text.split(/(?<=\n)(?![ }])/);
