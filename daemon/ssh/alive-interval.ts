// ServerAliveInterval of ssh_config(5): `ssh -G` prints 0 both for "off" and where nobody said anything, and where BatchMode is on
// Debian's ssh prints 300. There it is asked once more, with a file that says 15 behind everything that ssh reads: the first value
// wins, so what is not 15 then was said by somebody.
import { createHash, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { messageOf } from "../../shared/errors.ts";
import type { Files } from "../files.ts";
import { temporaryDirectory } from "../temporary.ts";
import type { Settings } from "./settings.ts";

const SECONDS = 15;
const BATCH_SECONDS = "300";
const NAME = "serveraliveinterval";
// ssh may read its files once more (Match final, CanonicalizeHostname): "canonical" matches then, and is no reason to. What is
// behind everything the first time would be before what is said the second time.
const AGAIN = "Match canonical all";
const XAUTH = "/read-again";
const AT_ONCE = ["Host *", `  ServerAliveInterval ${SECONDS}`, AGAIN, `  XAuthLocation ${XAUTH}`];
const AT_LAST = [AGAIN, `  ServerAliveInterval ${SECONDS}`];
const SYSTEM_FILE = "/etc/ssh/ssh_config";
const USER_FILE = "~/.ssh/config";
const MOST_BYTES = 256 * 1024;
// Include takes a pattern, and several of them.
const PLAIN_PATH = /^[\w./~@+,:=-]+$/;
const RELATIVE_INCLUDE = /^\s*include\b[\s=]+(?:.*\s)?"?[^\s"/~]/im;

export interface AliveInterval {
  /** 0: off */
  seconds: number;
  /** for people: why it cannot be told what was said, where it is taken for 15 */
  doubt: string | null;
}

export interface AliveQuestion {
  settings: Settings;
  /** of the request, `Name=value` */
  options: readonly string[];
  /** the -F; null: ssh's own two files */
  configFile: string | null;
  /** what `ssh -G` says with another -F */
  ask: (configFile: string) => Promise<Settings>;
}

export class AliveIntervals {
  readonly #files: Files;
  #directory: Promise<string> | undefined;
  #made: string | undefined;

  constructor(files: Files) {
    this.#files = files;
  }

  /** What ServerAliveInterval means for a host. Throws only what the question was aborted with. */
  async tell(question: AliveQuestion, signal?: AbortSignal): Promise<AliveInterval> {
    const [value = "0"] = question.settings.get(NAME) ?? [];
    if (!isOpen(value, question)) return said(value);
    try {
      const [behind = ""] = (await this.#ask(question)).get(NAME) ?? [];
      if (behind === String(SECONDS) || behind === value) return said(behind);
      return doubt(`ssh reads ${behind || "nothing"} where its files are included`);
    } catch (error) {
      signal?.throwIfAborted();
      return doubt(messageOf(error));
    }
  }

  /** Removes its files: the daemon ends. */
  end(): void {
    if (this.#made !== undefined) rmSync(this.#made, { recursive: true, force: true });
  }

  async #ask({ configFile, ask }: AliveQuestion): Promise<Settings> {
    const answer = await ask(await this.#fileFor(configFile, AT_ONCE));
    const isReadAgain = answer.get("xauthlocation")?.[0] === XAUTH;
    return isReadAgain ? ask(await this.#fileFor(configFile, AT_LAST)) : answer;
  }

  /** The same one for the same -F, so that the same question is the same. */
  async #fileFor(configFile: string | null, end: readonly string[]): Promise<string> {
    const content = [...(await this.#includes(configFile)), ...end, ""].join("\n");
    this.#directory ??= temporaryDirectory("tund-").then((path) => (this.#made = path));
    this.#directory.catch(() => (this.#directory = undefined));
    const name = createHash("sha256").update(content).digest("hex").slice(0, 16);
    const path = join(await this.#directory, name);
    // As it was, where it is there: what ssh said of it may be recalled.
    if (await this.#files.exists(path)) return path;
    // Whole from its first moment: others ask at the same time, and an empty file says that nobody wants 15 s.
    const fresh = `${path}.${randomBytes(6).toString("hex")}`;
    await writeFile(fresh, content, { mode: 0o600, flag: "wx" });
    await rename(fresh, path);
    return path;
  }

  async #includes(configFile: string | null): Promise<string[]> {
    if (configFile?.toLowerCase() === "none") return [];
    if (configFile !== null) {
      if (isAbsolute(configFile) && PLAIN_PATH.test(configFile)) return [`Include ${configFile}`];
      throw new Error(`${configFile} has a name that Include would take for something else`);
    }
    // Relative to another directory, where it is included from a file of the user's.
    if (RELATIVE_INCLUDE.test(await this.#systemFile()))
      throw new Error(`${SYSTEM_FILE} includes files by relative names`);
    return [USER_FILE, SYSTEM_FILE].map((path) => `Include ${path}`);
  }

  async #systemFile(): Promise<string> {
    if (!(await this.#files.exists(SYSTEM_FILE))) return "";
    return (await this.#files.read(SYSTEM_FILE, MOST_BYTES)).content.toString("latin1");
  }
}

/** Whether this may be what ssh takes where nobody said anything. */
function isOpen(value: string, { settings, options }: AliveQuestion): boolean {
  if (options.some((option) => /^\s*serveraliveinterval[\s=]/i.test(option))) return false;
  const [batch] = settings.get("batchmode") ?? [];
  return value === "0" || (batch === "yes" && value === BATCH_SECONDS);
}

const said = (value: string): AliveInterval => ({
  seconds: /^\d+$/.test(value) ? Number(value) : SECONDS,
  doubt: null,
});

const doubt = (why: string): AliveInterval => ({
  seconds: SECONDS,
  doubt: `whether ServerAliveInterval was set cannot be told (${why}): it is taken for ${SECONDS}; any other number than 0 is obeyed`,
});
