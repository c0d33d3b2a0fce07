// Finding the lines of known_hosts files that matter to a host, and whether a file revokes its key. A fleet's file has 100,000 lines, and one that names are hashed
// in has to be hashed anew for each name: it is gone through in slices, once for all who ask, and what was found is kept for as
// long as the file is the same.
import type { BigIntStats } from "node:fs";
import type { Clock } from "../../shared/clock.ts";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { FileError, type Files, type OpenFile, versionOf } from "../files.ts";
import { goThrough, type Line } from "../lines.ts";
import type { Turns } from "../turns.ts";
import type { Children } from "./children.ts";
import { type Fields, fieldsOf, type HostName, keyOf, type KnownHost } from "./known-hosts.ts";
import { lookupNames } from "./known-hosts-verdict.ts";
import { LineMatcher, type Want } from "./known-hosts-match.ts";
import { isRevokedBy } from "./revoked-keys.ts";

/** What was found, in the order of the files and their lines. */
export interface Found {
  hosts: KnownHost[];
  /** of files that could not be read, where ssh goes on without */
  problems: string[];
}

const MOST_FOUND = 1000; // of one name in one file
const MOST_READINGS = 3;
// A file that was changed just now may be changed again without its times showing it.
const SETTLED_MS = 2000;
const MOST_FILES_KEPT = 32;
const MOST_WANTS_KEPT = 512;
const MOST_LINES_KEPT = 5000;

type Lines = ReadonlyMap<Want, KnownHost[]>;

/** What was found in one version of a file. */
interface Kept {
  version: string;
  lines: Map<Want, KnownHost[]>;
}

interface Search {
  wants: Set<Want>;
  result: Promise<Lines>;
}

export interface HostKeyFilesOptions {
  files: Files;
  children: Children;
  slices: Turns;
  clock: Clock;
}

/** One per daemon. */
export class HostKeyFiles {
  readonly #files: Files;
  readonly #children: Children;
  readonly #clock: Clock;
  readonly #slices: Turns;
  readonly #kept = new Map<string, Kept>();
  /** by path: what is gone through now, and what will be when that is over */
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Search>();
  /** by path: when whoever changes it now is done */
  readonly #changing = new Map<string, Promise<void>>();

  constructor({ files, children, slices, clock }: HostKeyFilesOptions) {
    this.#files = files;
    this.#children = children;
    this.#slices = slices;
    this.#clock = clock;
  }

  /** Changes a file, which nobody else in this process changes meanwhile. @throws what `change` throws */
  alone(path: string, change: () => Promise<void>): Promise<void> {
    const mine = (this.#changing.get(path) ?? Promise.resolve()).then(change);
    const over: Promise<void> = mine
      .catch(() => undefined)
      .then(() => void (this.#changing.get(path) === over && this.#changing.delete(path)));
    this.#changing.set(path, over);
    return mine;
  }

  /**
   * The lines that name a host, or have one of these keys. A file that is not there holds nothing, and one that may not be
   * read is told of, as ssh does.
   * @throws TundError HOST_CONFIG_FAILED when a file cannot be read whole: what was not seen may revoke a key
   */
  async find(paths: readonly string[], name: HostName, keys: readonly Buffer[] = []): Promise<Found> {
    const problems: string[] = [];
    const names = lookupNames(name);
    const wants = [
      ...names.map((one): Want => `name ${one}`),
      ...keys.map((key): Want => `key ${key.toString("base64")}`),
    ];
    const found = paths.map(async (path) => {
      try {
        return merged(await this.#findIn(path, wants), names);
      } catch (error) {
        if (isNothing(error)) return [];
        if (!isIgnored(error))
          throw new TundError(
            "HOST_CONFIG_FAILED",
            `no host key is taken while known hosts cannot be read whole: ${messageOf(error)}`,
            {
              cause: error,
            },
          );
        problems.push(messageOf(error));
        return [];
      }
    });
    return { hosts: (await Promise.all(found)).flat(), problems };
  }

  /**
   * The lines that name a host in what a program has printed; `source` is what messages call it.
   * @throws FileError for more lines than a host can need
   */
  async findPrinted(source: string, printed: string, name: HostName): Promise<KnownHost[]> {
    const names = lookupNames(name);
    const picking = this.#picking(
      source,
      names.map((one): Want => `name ${one}`),
    );
    const text = Buffer.from(printed).toString("latin1");
    for (let from = 0, to = 0, number = 1; from < text.length; from = to, number++) {
      if (this.#slices.isOver) await this.#slices.next();
      const end = text.indexOf("\n", from);
      to = end === -1 ? text.length : end + 1;
      const line = { text: text.slice(from, end === -1 ? to : end), number, span: { from, to } };
      const picked = picking.take(line);
      if (picked !== undefined) await picked;
    }
    // No span: it is in no file.
    return merged(picking.lines, names).map(({ file, line, marker, hosts, key, names: judged }) => ({
      file,
      line,
      marker,
      hosts,
      key,
      ...(judged && { names: judged }),
    }));
  }

  /** The file of RevokedHostKeys that revokes a key. @throws TundError when it cannot be told of one: ssh refuses every key then */
  async revoking(paths: readonly string[], key: Buffer, signal: AbortSignal): Promise<string | null> {
    const means = { files: this.#files, slices: this.#slices, children: this.#children, clock: this.#clock };
    for (const path of paths) if (await isRevokedBy(path, key, { ...means, signal })) return path;
    return null;
  }

  async #findIn(path: string, wants: readonly Want[]): Promise<Lines> {
    const kept = this.#kept.get(path);
    if (kept !== undefined && wants.every((want) => kept.lines.has(want))) {
      // Opened: of a network disk the version is the server's then.
      const version = await this.#files.use(path, async ({ stats }) => versionOf(stats));
      if (version === kept.version) return pick(kept.lines, wants);
    }
    return pick(await this.#join(path, wants), wants);
  }

  // Whoever comes while a file is gone through waits for the next time: it may have been changed since that began.
  #join(path: string, wants: readonly Want[]): Promise<Lines> {
    const waiting = this.#next.get(path);
    if (waiting !== undefined) {
      for (const want of wants) waiting.wants.add(want);
      return waiting.result;
    }
    const all = new Set(wants);
    const before = this.#running.get(path) ?? Promise.resolve();
    const begun = before.then(() => {
      this.#next.delete(path);
      return this.#search(path, all);
    });
    const over = begun.then(
      () => undefined,
      () => undefined,
    );
    this.#next.set(path, { wants: all, result: begun });
    this.#running.set(path, over);
    void over.then(() => {
      if (this.#running.get(path) === over) this.#running.delete(path);
    });
    return begun;
  }

  async #search(path: string, wants: ReadonlySet<Want>): Promise<Lines> {
    for (let readings = 1; ; readings++) {
      const since = this.#clock.now();
      const found = await this.#files.use(path, async (file) => {
        const version = versionOf(file.stats);
        const kept = this.#kept.get(path);
        const known = kept?.version === version ? kept.lines : new Map<Want, KnownHost[]>();
        const lines = await this.#find(
          file,
          [...wants].filter((want) => !known.has(want)),
        );
        if (versionOf(await file.statsNow()) !== version) return null;
        for (const want of wants) lines.set(want, lines.get(want) ?? known.get(want) ?? []);
        if (isSettled(file.stats, since)) this.#keep(path, version, lines);
        return lines;
      });
      if (found !== null) return found;
      if (readings === MOST_READINGS)
        throw new FileError(path, "it was changed again and again while it was read", true);
    }
  }

  async #find(file: OpenFile, wants: readonly Want[]): Promise<Map<Want, KnownHost[]>> {
    const { lines, take } = this.#picking(file.path, wants);
    if (wants.length > 0) await goThrough(file, this.#slices, take);
    return lines;
  }

  // Picks the lines that are wanted, one after the other.
  #picking(path: string, wants: readonly Want[]) {
    const lines = new Map(wants.map((want): [Want, KnownHost[]] => [want, []]));
    const matcher = new LineMatcher(wants, this.#slices);
    const take = (line: Line): undefined | Promise<undefined> => {
      const fields = fieldsOf(line.text);
      if (fields === null) return undefined;
      const put = (matched: readonly Want[]) => {
        if (matched.length > 0) add(lines, matched, { ...fields, ...line, path });
        return undefined;
      };
      const matched = matcher.matched(fields);
      return matched instanceof Promise ? matched.then(put) : put(matched);
    };
    return { lines, take };
  }

  #keep(path: string, version: string, lines: Map<Want, KnownHost[]>): void {
    const kept = this.#kept.get(path);
    const all = new Map([...(kept?.version === version ? kept.lines : []), ...lines]);
    const count = [...all.values()].reduce((sum, { length }) => sum + length, 0);
    this.#kept.delete(path);
    if (all.size <= MOST_WANTS_KEPT && count <= MOST_LINES_KEPT)
      this.#kept.set(path, { version, lines: all });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_FILES_KEPT && oldest !== undefined) this.#kept.delete(oldest);
  }
}

function add(
  lines: Map<Want, KnownHost[]>,
  wants: readonly Want[],
  { path, number, span, ...fields }: Fields & Line & { path: string },
): void {
  const key = keyOf(fields);
  if (key === null) return;
  const hosts = Buffer.from(fields.hosts, "latin1").toString();
  const found = { file: path, line: number, span, marker: fields.marker, hosts, key };
  for (const want of wants) {
    const all = lines.get(want);
    all?.push(found);
    if (all !== undefined && all.length > MOST_FOUND)
      throw new FileError(path, `more than ${MOST_FOUND} of its lines are for the ${want}`);
  }
}

const pick = (lines: Lines, wants: readonly Want[]): Lines =>
  new Map(wants.map((want) => [want, lines.get(want) ?? []]));

/** The lines in their order, each with the names that it was looked for by. */
function merged(lines: Lines, names: readonly string[]): KnownHost[] {
  const all = new Map([...lines.values()].flat().map((one) => [one.line, one]));
  const numbers = new Map(
    names.map((name) => [name, new Set(lines.get(`name ${name}`)?.map(({ line }) => line))]),
  );
  return [...all.values()]
    .sort((one, other) => one.line - other.line)
    .map((one) => ({
      ...one,
      names: new Map(names.map((name) => [name, numbers.get(name)?.has(one.line) === true])),
    }));
}

const isSettled = ({ mtimeMs, ctimeMs }: BigIntStats, now: number): boolean =>
  Math.max(Number(mtimeMs), Number(ctimeMs)) < now - SETTLED_MS;

const isNothing = (error: unknown): boolean => ["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "");

// Whatever else keeps it from being read (no descriptor is free, the disk fails) may be over the next time.
const isIgnored = (error: unknown): boolean =>
  ["EACCES", "EPERM", "EISDIR", "ELOOP", "ENAMETOOLONG"].includes(errnoOf(error) ?? "");
