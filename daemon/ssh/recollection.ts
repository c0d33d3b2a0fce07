// Answers of `ssh -G` that are as good as new: the files that ssh read are as they were, and nothing else had a part in them.
// For dials that nobody waits for: sixty hosts that are tried every ten seconds would start six programs in a second.
import { hostname } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import type { Clock } from "../../shared/clock.ts";
import type { Files } from "../files.ts";
import type { SshAnswer } from "./ask-ssh.ts";

const SYSTEM_FILE = "/etc/ssh/ssh_config";
/** what is not noticed (another ssh, a file where none is looked for) is noticed after that */
const MOST_MS = 10 * 60_000;
// A file that was changed just before ssh read it may have been changed once more within the same tick of its clock.
const SETTLED_MS = 2000;
const MOST_ANSWERS = 1024;
const MOST_FILES = 64;
const MOST_FILE_BYTES = 256 * 1024;

interface Kept {
  printed: string;
  untilMs: number;
  /** the version of each path that decides it; null: there was nothing */
  versions: ReadonlyMap<string, string | null>;
}

interface RecollectionOptions {
  files: Files;
  /** whose `~/.ssh/config` it is */
  home: string;
  clock: Clock;
}

export class Recollection {
  readonly #options: RecollectionOptions;
  /** in the order in which they were kept */
  readonly #kept = new Map<string, Kept>();

  constructor(options: RecollectionOptions) {
    this.#options = options;
  }

  /** The answer to this question, as long as ssh would give the same. Never throws. */
  async recall(key: string): Promise<string | undefined> {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    if (this.#options.clock.monotonic() < kept.untilMs && (await this.#isAsItWas(kept))) return kept.printed;
    if (this.#kept.get(key) === kept) this.#kept.delete(key);
    return undefined;
  }

  /**
   * Keeps an answer, if it can be told when it is out of date: nothing but files had a part in it, and they had stood for 2 s
   * when ssh was asked. Never throws.
   * @param askedAt when ssh was asked, in milliseconds since the epoch
   */
  async keep(key: string, args: readonly string[], answer: SshAnswer, askedAt: number): Promise<void> {
    const paths = await this.#deciding(args, answer).catch(() => null);
    if (paths === null || paths.length > MOST_FILES) return;
    const versions = await this.#versions(paths, askedAt).catch(() => null);
    if (versions === null) return;
    this.#kept.delete(key);
    this.#kept.set(key, {
      printed: answer.printed,
      untilMs: this.#options.clock.monotonic() + MOST_MS,
      versions,
    });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MOST_ANSWERS && oldest !== undefined) this.#kept.delete(oldest);
  }

  /** What else than its arguments and environment decides an answer: this machine's name stands in for tokens. */
  static key(args: readonly string[], environment: string | null): string {
    return JSON.stringify([hostname(), environment, ...args]);
  }

  async #isAsItWas({ versions }: Kept): Promise<boolean> {
    try {
      const { files } = this.#options;
      const same = await Promise.all(
        [...versions].map(async ([path, version]) => ((await files.look(path))?.version ?? null) === version),
      );
      return same.every(Boolean);
    } catch {
      return false;
    }
  }

  async #versions(paths: readonly string[], askedAt: number): Promise<Map<string, string | null> | null> {
    const versions = new Map<string, string | null>();
    for (const path of paths) {
      const found = await this.#options.files.look(path);
      if (found !== null && found.changedMs > askedAt - SETTLED_MS) return null;
      versions.set(path, found?.version ?? null);
    }
    return versions;
  }

  // The paths that decide an answer; null where it is not paths alone.
  async #deciding(
    args: readonly string[],
    { printed, read, ranPrograms }: SshAnswer,
  ): Promise<string[] | null> {
    if (read === null || ranPrograms || /^canonicalizehostname (?!false$|no$)/m.test(printed)) return null;
    const given = args.slice(0, args.lastIndexOf("--"));
    const isOwn = !given.includes("-F");
    const roots = isOwn ? [join(this.#options.home, ".ssh/config"), SYSTEM_FILE] : [];
    // One that is not there is passed over.
    const identities = given.filter((_, index) => given[index - 1] === "-i");
    const paths = new Set([...roots, ...identities, ...read]);
    for (const file of new Set(read)) {
      const included = includedBy(await this.#text(file), this.#options.home);
      if (included === null) return null;
      for (const path of included) paths.add(path);
    }
    return [...paths].every((path) => isAbsolute(path)) ? [...paths] : null;
  }

  async #text(file: string): Promise<string> {
    return (await this.#options.files.read(file, MOST_FILE_BYTES)).content.toString("latin1");
  }
}

// Programs and networks: what they say is in no file. (Match localnetwork: OpenSSH 9.4.)
const ELSEWHERE = /^[\s"]*match\b.*(?:exec|localnetwork)/im;
const INCLUDE = /^[\s"]*include\b["\s=]*(.*)$/gim;

/**
 * What the Include lines of a file depend on: the directories, in which files may come and go, and files by name. Null where
 * that, or anything else of the file, cannot be told by its path.
 */
function includedBy(text: string, home: string): string[] | null {
  if (ELSEWHERE.test(text)) return null;
  const paths: string[] = [];
  for (const [, rest = ""] of text.matchAll(INCLUDE))
    for (const [pattern] of rest.matchAll(/[^\s"]+/g)) {
      if (/[%$\\]|^~[^/]/.test(pattern) || /[*?[].*\//.test(pattern)) return null;
      const path = pattern.replace(/^~\//, `${home}/`);
      // As a user's own file has it, and as the system's.
      const all = isAbsolute(path) ? [path] : [join(home, ".ssh", path), join(dirname(SYSTEM_FILE), path)];
      for (const one of all) paths.push(dirname(one), ...(/[*?[]/.test(one) ? [] : [one]));
    }
  return paths;
}
