// Whether what lies at a path may be obeyed: only where nobody but us and root can write to it, or put another in its place.
import { lstatSync, readFileSync, readlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { errnoOf, messageOf } from "./errors.ts";

/** What has a name, as lstat(2) tells it; of a symbolic link where it leads (readlink(2)). */
export interface Seen {
  uid: number;
  gid: number;
  /** with the bits that say what it is (inode(7)) */
  mode: number;
  dev: number;
  target: string | null;
}

/** Why a path is not used, and the command that would change that, where there is one. */
export interface Refusal {
  why: string;
  next: string | null;
}

export interface Judgement {
  refusal: Refusal | null;
  /** what others can do all the same, a line for each */
  warnings: readonly string[];
  /** what it leads to; null: nothing is there yet, or it is refused on the way */
  found: Seen | null;
}

/**
 * What a path has to lead to: `private` is a directory of ours that has mode 0700, `own` one of ours in which others cannot
 * write, and `trusted` is whatever belongs to us or to root.
 */
export type Need = "private" | "own" | "trusted";

const MOST_LINKS = 40; // as the kernel (path_resolution(7))
const [S_IFMT, S_IFDIR, S_IFREG, S_IFLNK] = [0o170000, 0o040000, 0o100000, 0o120000];
const STICKY = 0o1000;

// Whose things are obeyed: our own and root's. In a user namespace that does not map root, `/` tells which number root has
// there (user_namespaces(7)).
const isTrusted = (uid: number): boolean => uid === process.geteuid?.() || isRoot(uid);

const isRoot = (uid: number): boolean => uid === 0 || uid === unmappedRoot();

function unmappedRoot(): number | undefined {
  try {
    // A line for each range: the first uid in here, the first one outside, how many.
    const ranges = readFileSync("/proc/self/uid_map", "utf8").trim().split("\n");
    const isMapped = ranges.some((range) => range.trim().split(/\s+/)[1] === "0");
    return isMapped ? undefined : lstatSync("/").uid;
  } catch {
    return undefined; // another system than Linux
  }
}

/** Judges a path, as far as it is there; every look blocks for as long as its file system takes. Never throws. */
export function judge(path: string, need: Need): Judgement {
  const walk = new Walk(path, need);
  for (let at = walk.next(); at !== undefined; at = walk.next()) walk.take(look(at));
  return walk.judgement;
}

function look(path: string): Seen | Error | null {
  try {
    const seen = lstatSync(path, { throwIfNoEntry: false });
    if (seen === undefined) return null;
    const { uid, gid, mode, dev } = seen;
    const target = isKind(mode, S_IFLNK) ? readlinkSync(path) : null;
    return { uid, gid, mode, dev, target };
  } catch (error) {
    return failed(error);
  }
}

/** What a look at a path came to that threw: null where there is nothing by that name. */
export const failed = (error: unknown): Error | null =>
  ["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "") ? null : (error as Error);

interface Place {
  path: string;
  seen: Seen;
}

/**
 * The same for whoever looks in another way: `next` gives a path to look at, and `take` takes what was seen there.
 *
 * It goes as the kernel does, from `/` and along every symbolic link. Whatever is on the way belongs to us or root, and lies
 * in a directory in which others cannot write; or that is sticky, so that they cannot move what is not theirs.
 */
export class Walk {
  readonly #need: Need;
  /** names that are still to come */
  readonly #ahead: string[];
  /** the directories that the walk has come through, and what it has come to */
  readonly #way: Place[] = [];
  /** the directories that are open to others, in the way that they have come up: all are told at once */
  readonly #open = new Map<string, Place>();
  readonly #warnings: string[] = [];
  #at = "/";
  #links = 0;
  #judgement: Judgement = { refusal: null, warnings: this.#warnings, found: null };
  #isOver = false;

  constructor(path: string, need: Need) {
    this.#need = need;
    this.#ahead = ["/", ...partsOf(path.startsWith("/") ? path : `${resolve(".")}/${path}`)];
  }

  /** What it came to, once there is nothing more to look at. */
  get judgement(): Judgement {
    return this.#judgement;
  }

  /** The path to look at; undefined at the end. */
  next(): string | undefined {
    while (!this.#isOver) {
      const name = this.#ahead.shift();
      if (name === undefined) this.#arrive();
      else if (name !== "..") return (this.#at = join(this.#way.at(-1)?.path ?? "/", name));
      else if (this.#way.length > 1) this.#way.pop();
    }
    return undefined;
  }

  /** @param seen what is there, null for nothing, or why that cannot be told */
  take(seen: Seen | Error | null): void {
    const refusal = this.#refusalOf(seen);
    if (refusal !== null || seen === null || seen instanceof Error) return this.#end(refusal);
    if (seen.target !== null) {
      this.#ahead.unshift(...partsOf(seen.target));
      if (seen.target.startsWith("/")) this.#way.length = 1;
      return undefined;
    }
    this.#way.push({ path: this.#at, seen });
    // What is behind a file is not there.
    if (!isKind(seen.mode, S_IFDIR) && this.#ahead.length > 0) this.#end(null);
    return undefined;
  }

  #refusalOf(seen: Seen | Error | null): Refusal | null {
    const [at, directory] = [this.#at, this.#way.at(-1)];
    if (seen instanceof Error) return { why: `${at} cannot be seen: ${messageOf(seen)}`, next: null };
    if (directory !== undefined && isOpen(directory.seen)) {
      // Of what lies in it others can take away what they like: it has to be what nobody else can have made.
      const isUsable = seen === null || (seen.uid === process.geteuid?.() && isKind(seen.mode, S_IFDIR));
      if (!isUsable || !isRootsMount(this.#way)) this.#open.set(directory.path, directory);
      else if (seen !== null)
        this.#warnings.push(`${openTo([directory]).why}: they can take ${at} away, and not write in it`);
    }
    if (seen === null) return null;
    if (!isTrusted(seen.uid)) return foreign(at, seen);
    const isLoop = seen.target !== null && ++this.#links > MOST_LINKS;
    return isLoop ? { why: `${at} is a loop of symbolic links`, next: null } : null;
  }

  #arrive(): void {
    const last = this.#way.at(-1);
    const refusal = last === undefined || this.#need === "trusted" ? null : whyNotOwn(last, this.#need);
    this.#end(refusal, last?.seen);
  }

  #end(last: Refusal | null, found: Seen | null = null): void {
    const refusal = both(this.#open.size === 0 ? null : openTo([...this.#open.values()]), last);
    this.#isOver = true;
    this.#judgement = { refusal, warnings: this.#warnings, found: refusal === null ? found : null };
  }
}

// Where nothing can be done about one, nothing is gained by what can be done about the other.
function both(one: Refusal | null, other: Refusal | null): Refusal | null {
  if (one === null || other === null) return one ?? other;
  if (one.next === null || other.next === null) return one.next === null ? one : other;
  return { why: `${one.why}, and ${other.why}`, next: `${one.next} && ${other.next}` };
}

const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "" && part !== ".");

const isKind = (mode: number, kind: number): boolean => (mode & S_IFMT) === kind;

// Root's group is as good as root: in containers that is the group of whoever may have any uid.
const isWritable = ({ mode, gid }: Seen): boolean =>
  (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0);

const isOpen = (seen: Seen): boolean => isWritable(seen) && (seen.mode & STICKY) === 0;

// What Kubernetes gives as an emptyDir, say, which nobody there can change.
function isRootsMount(way: readonly Place[]): boolean {
  const [above, mount] = [way.at(-2)?.seen, way.at(-1)?.seen];
  return mount !== undefined && isRoot(mount.uid) && above?.dev !== mount.dev;
}

function whyNotOwn({ path, seen }: Place, need: "private" | "own"): Refusal | null {
  if (!isKind(seen.mode, S_IFDIR)) return { why: `${path} is no directory`, next: null };
  if (seen.uid !== process.geteuid?.()) return foreign(path, seen);
  if (need === "own") return isWritable(seen) ? openTo([{ path, seen }]) : null;
  if ((seen.mode & 0o777) === 0o700) return null;
  const why = isWritable(seen) ? whyOpen([{ path, seen }]) : `${path} has mode ${shownMode(seen)}`;
  return { why, next: isSystems(path, seen) ? null : `chmod 700 ${quoted(path)}` };
}

// Such as /etc, /run or /var/tmp: others would no longer get at what is theirs there.
const isSystems = (path: string, seen: Seen): boolean =>
  (seen.mode & STICKY) !== 0 || (isRoot(seen.uid) && partsOf(path).length < 3 && !path.endsWith("/tund"));

/**
 * Why a file is not obeyed that was opened without following links: it is no regular one, it is somebody else's, or others
 * can write to it. Null if it is.
 * @param stats as lstat(2) or fstat(2) tells it
 */
export function whyNotOwnFile(path: string, { uid, mode }: Pick<Seen, "uid" | "mode">): Refusal | null {
  if (isKind(mode, S_IFLNK)) return { why: `${path} is a symbolic link`, next: null };
  if (!isKind(mode, S_IFREG)) return { why: `${path} is no regular file`, next: null };
  if (uid !== process.geteuid?.()) return foreign(path, { uid });
  if ((mode & 0o022) === 0) return null;
  return {
    why: `others may write to ${path} (mode ${shownMode({ mode })})`,
    next: `chmod 600 ${quoted(path)}`,
  };
}

const foreign = (path: string, { uid }: Pick<Seen, "uid">): Refusal => ({
  why: `${path} belongs to uid ${uid}, and this is uid ${process.geteuid?.()}`,
  next: null,
});

const openTo = (places: readonly Place[]): Refusal => ({
  why: whyOpen(places),
  next: `chmod go-w ${places.map(({ path }) => quoted(path)).join(" ")}`,
});

const whyOpen = (places: readonly Place[]): string =>
  `others may write in ${places.map(({ path, seen }) => `${path} (mode ${shownMode(seen)})`).join(" and ")}`;

/** A mode as chmod(1) takes it. */
export const shownMode = ({ mode }: Pick<Seen, "mode">): string =>
  (mode & 0o7777).toString(8).padStart(4, "0");

/** A path as a word of a command, for a shell. */
export const quoted = (path: string): string =>
  /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
