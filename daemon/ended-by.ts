// In whose turn tund has ended: kept on disk, so that a host that ends it does not end it again at every start.
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, messageOf } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { makeDirectory } from "../shared/make-directory.ts";
import { createOwn, openOwn, refuseForeign, UNFOLLOWED } from "./own-file.ts";

/** One end: when, in milliseconds since the epoch, and the names of the host. */
interface End {
  at: number;
  hosts: string[];
}

const { O_WRONLY, O_APPEND, O_CREAT } = constants;
const WITHIN_MS = 10 * 60_000;
const MOST_ENDS = 64;
const MOST_READ_BYTES = 64 * 1024;
// A host rarely has more names, and a name is rarely longer.
const MOST_NAMES = 16;
const LONGEST_NAME = 256;

export class EndedBy {
  readonly #directory: string;
  readonly #file: string;
  readonly #now: () => number;
  readonly #log: Log;
  #ends: End[] = [];
  #writing: Promise<void> = Promise.resolve();

  /** @param directory the state directory */
  constructor(directory: string, now: () => number, log: Log) {
    this.#directory = directory;
    this.#file = join(directory, "ended-by.jsonl");
    this.#now = now;
    this.#log = log;
  }

  /** tund ends, in the turn of a host with these names: one synchronous write. Never throws. */
  record(hosts: readonly string[]): void {
    const names = hosts.filter(({ length }) => length <= LONGEST_NAME).slice(0, MOST_NAMES);
    if (names.length === 0) return;
    try {
      // Its directory was made when the state was claimed.
      const file = openSync(this.#file, O_WRONLY | O_APPEND | O_CREAT | UNFOLLOWED, 0o600);
      refuseForeign(this.#file, file);
      writeSync(file, `${JSON.stringify({ at: this.#now(), hosts: names })}\n`);
      closeSync(file);
    } catch (error) {
      this.#log.error({ error: messageOf(error), hosts: names }, "cannot note in whose turn tund has ended");
    }
  }

  /** Reads what was recorded; what makes no sense is left out. Never throws. */
  async load(): Promise<void> {
    const lines = (await this.#read()).split("\n").filter((line) => line !== "");
    const ends = lines.flatMap(endOf).slice(-MOST_ENDS);
    const now = this.#now();
    const isRecent = ({ at }: End) => Math.abs(now - at) <= WITHIN_MS;
    this.#ends = ends;
    this.#ends = ends.filter((end) => isRecent(end) || end.hosts.some((host) => this.lastOf(host) !== null));
    if (this.#ends.length !== lines.length) await this.#write();
  }

  /** When tund last ended in a host's turn, if it did so twice within ten minutes; null if not. */
  lastOf(host: string): number | null {
    const times = this.#timesOf(host);
    const isTwice = times.some((at, n) => n > 0 && at - (times[n - 1] ?? 0) <= WITHIN_MS);
    return isTwice ? (times.at(-1) ?? null) : null;
  }

  /** A person wants the host all the same. Once more within ten minutes, and it is as it was. Never throws. */
  async forgive(host: string): Promise<void> {
    if (this.lastOf(host) === null) return;
    const names = new Set(this.#ends.flatMap(({ hosts }) => (hosts.includes(host) ? hosts : [])));
    this.#ends = this.#ends.filter(({ hosts }) => !hosts.some((name) => names.has(name)));
    this.#ends.push({ at: this.#now(), hosts: [...names].slice(0, MOST_NAMES) });
    await this.#write();
  }

  #timesOf(host: string): number[] {
    return this.#ends.flatMap(({ at, hosts }) => (hosts.includes(host) ? [at] : [])).sort((a, b) => a - b);
  }

  async #read(): Promise<string> {
    try {
      const file = await openOwn(this.#file);
      try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(MOST_READ_BYTES), 0, MOST_READ_BYTES, 0);
        return buffer.toString("utf8", 0, bytesRead);
      } finally {
        await file.close();
      }
    } catch (error) {
      if (errnoOf(error) !== "ENOENT")
        this.#log.warn({ error: messageOf(error) }, `${this.#file} cannot be read, and is left alone`);
      return "";
    }
  }

  // One after the other. Where it cannot be written, what was recorded stands, and the next start finds it.
  #write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const text = this.#ends.map((end) => `${JSON.stringify(end)}\n`).join("");
      const temporary = `${this.#file}.new`;
      try {
        await makeDirectory(this.#directory, 0o700);
        const file = await createOwn(temporary);
        try {
          await file.writeFile(text);
        } finally {
          await file.close();
        }
        await rename(temporary, this.#file);
      } catch (error) {
        this.#log.warn({ error: messageOf(error) }, `${this.#file} cannot be written`);
      }
    });
    return this.#writing;
  }
}

function endOf(line: string): End[] {
  try {
    const { at, hosts } = JSON.parse(line) as Partial<Record<keyof End, unknown>>;
    if (typeof at !== "number" || !Number.isFinite(at) || !Array.isArray(hosts)) return [];
    const names = hosts.filter(
      (name): name is string => typeof name === "string" && name.length <= LONGEST_NAME,
    );
    return [{ at, hosts: names.slice(0, MOST_NAMES) }];
  } catch {
    return [];
  }
}
