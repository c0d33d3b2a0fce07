// What a line of known hosts is for, of many names and keys. Bytes are compared, as ssh does: a letter is a byte here (latin1).
import { createHmac } from "node:crypto";
import type { Turns } from "../turns.ts";
import { type Fields, isTooLong, lowerCase, matchesPattern, namesHost, saltOf } from "./known-hosts.ts";

/** What is looked for: a name as known hosts have it, or a key in base64. */
export type Want = `name ${string}` | `key ${string}`;

// Letters of patterns times names: more are compared in slices.
const MOST_AT_ONCE = 1024;

export class LineMatcher {
  readonly #slices: Turns;
  /** by their bytes */
  readonly #names: ReadonlyMap<string, Want>;
  readonly #keys: ReadonlyMap<string, Want>;

  constructor(wants: readonly Want[], slices: Turns) {
    this.#slices = slices;
    const texts = (kind: "name" | "key") =>
      wants
        .filter((want) => want.startsWith(`${kind} `))
        .map((want): [string, Want] => [want.slice(kind.length + 1), want]);
    this.#names = new Map(texts("name").map(([name, want]) => [Buffer.from(name).toString("latin1"), want]));
    this.#keys = new Map(texts("key"));
  }

  /** What a line is for: at once, but for one that takes long. */
  matched({ hosts, base64 }: Fields): readonly Want[] | Promise<readonly Want[]> {
    const key = this.#keys.get(base64);
    if (hosts.startsWith("|")) return joined(this.#hashed(hosts), key);
    if (!/[*?!,]/.test(hosts)) return joined(listed(this.#names.get(lowerCase(hosts))), key);
    if (hosts.length * this.#names.size > MOST_AT_ONCE)
      return this.#long(hosts).then((found) => joined(found, key));
    return joined(
      this.#named((name) => namesHost(hosts, name)),
      key,
    );
  }

  #named(names: (bytes: string) => boolean): readonly Want[] {
    const all: Want[] = [];
    for (const [bytes, want] of this.#names) if (names(bytes)) all.push(want);
    return all;
  }

  #hashed(hosts: string): readonly Want[] {
    const salt = saltOf(hosts);
    if (salt === null) return nothing;
    return this.#named((bytes) =>
      hosts.endsWith(createHmac("sha1", salt).update(bytes, "latin1").digest("base64")),
    );
  }

  async #long(hosts: string): Promise<readonly Want[]> {
    const all: Want[] = [];
    for (const [bytes, want] of this.#names) if (await this.#isNamed(hosts, bytes)) all.push(want);
    return all;
  }

  async #isNamed(hosts: string, name: string): Promise<boolean> {
    let isNamed = false;
    for (let from = 0, to = 0; from <= hosts.length; from = to + 1) {
      to = hosts.indexOf(",", from);
      if (to === -1) to = hosts.length;
      if (this.#slices.isOver) await this.#slices.next();
      const pattern = lowerCase(hosts.slice(from, to));
      if (isTooLong(pattern)) return false;
      const isNegated = pattern.startsWith("!");
      if (isNegated && matchesPattern(name, pattern.slice(1))) return false;
      isNamed ||= !isNegated && matchesPattern(name, pattern);
    }
    return isNamed;
  }
}

const nothing: readonly Want[] = [];

const listed = (want: Want | undefined): readonly Want[] => (want === undefined ? nothing : [want]);

const joined = (found: readonly Want[], key: Want | undefined): readonly Want[] =>
  key === undefined ? found : [...found, key];
