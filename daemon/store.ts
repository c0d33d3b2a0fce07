// Desired state on disk: what was asked for, in state.json, so that it outlives the daemon. One writer.
import { constants } from "node:fs";
import { copyFile, rename } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { errnoOf, messageOf, TundError } from "../shared/errors.ts";
import type { Log } from "../shared/log.ts";
import { statePlace } from "../shared/places.ts";
import { shownMode } from "../shared/trusted-path.ts";
import { checkState } from "./checks.ts";
import { claimDirectory, NotOwnDirectory } from "../shared/own-directory.ts";
import { NotOwnFile, openOwn } from "./own-file.ts";
import { type SavedHost, VERSION } from "./saved-state.ts";
import { sift } from "./saved-hosts.ts";
import { StateFile, statesIn, UndecidedError } from "./state-file.ts";
import { listenAt, obstacleText, PathTakenError } from "./unix-socket.ts";

export class Store {
  readonly #directory: string;
  readonly #file: string;
  readonly #states: StateFile;
  readonly #log: Log;
  #writing: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** @param directory the state directory, made (0700) when it is first written to */
  constructor(directory: string, log: Log) {
    this.#directory = directory;
    this.#file = join(directory, "state.json");
    this.#states = new StateFile(this.#file);
    this.#log = log;
  }

  /**
   * Keeps other daemons away from the state directory for as long as this process lives: two of them would overwrite
   * each other's state. Gives what ends that.
   * @throws Error of one line when another one has it; NotOwnDirectory, NotOwnFile for what is not to be obeyed
   */
  async claim(): Promise<() => void> {
    const path = join(this.#directory, "lock");
    const server = createServer((socket) => (socket.on("error", () => undefined), socket.destroy()));
    server.on("error", () => undefined); // of accept() (EMFILE); one of listening is thrown by listenAt too
    try {
      await claimDirectory(this.#directory, statePlace, (line) => this.#log.warn({}, line));
      await this.#judge();
      const placed = await listenAt(server, { path, mode: 0o600, replaceAny: false });
      server.unref();
      return () => placed.release();
    } catch (error) {
      if (error instanceof NotOwnDirectory || error instanceof NotOwnFile) throw error;
      if (error instanceof PathTakenError) {
        const why =
          error.obstacle === "answered"
            ? `another tund uses the state directory ${this.#directory}: stop it`
            : `the state directory ${this.#directory} cannot be locked, since ${path} ${obstacleText(error)}: remove it`;
        throw new Error(`${why}, or set TUND_STATE_DIR`, { cause: error });
      }
      // A directory that cannot be written to is nobody's, and what is to be saved there will say so.
      this.#log.warn({ error: messageOf(error) }, `the state directory ${this.#directory} cannot be locked`);
      return () => undefined;
    }
  }

  /**
   * What was saved last; nothing on a first start. A file that makes no sense, or that a newer tund has written, is
   * set aside under another name, and said so in the log; of one in which something cannot stand beside the rest, a copy.
   * @throws NotOwnFile; Error when there is a file that can neither be read nor set aside: it must not be overwritten
   */
  async load(): Promise<SavedHost[]> {
    let text: string;
    try {
      text = await this.#read();
    } catch (error) {
      if (error instanceof NotOwnFile) throw error;
      if (errnoOf(error) === "ENOENT") return [];
      await this.#setAside("unreadable", messageOf(error));
      return [];
    }
    const states = statesIn(text);
    const isCutShort = states.length > 1 && !isJson(states.at(-1) ?? "");
    let hosts: SavedHost[];
    try {
      hosts = parse(states.at(isCutShort ? -2 : -1) ?? "");
    } catch (error) {
      await this.#setAside(error instanceof NewerError ? "newer" : "damaged", messageOf(error));
      return [];
    }
    const sound = await this.#sifted(hosts);
    if (isCutShort) await this.#mend(sound);
    return sound;
  }

  /**
   * Saves what `desired` gives when the file is written: complete on disk once this settles. Calls that come while
   * another one writes share the next write.
   * @throws TundError STATE_NOT_SAVED; the file is then as it was, or the message says that it may not be
   */
  save(desired: () => SavedHost[]): Promise<void> {
    this.#next ??= this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined;
        this.#writing = this.#write(desired());
        return this.#writing;
      });
    return this.#next;
  }

  // Before there is anything to be left behind.
  async #judge(): Promise<void> {
    try {
      await (await openOwn(this.#file)).close();
    } catch (error) {
      if (error instanceof NotOwnFile) throw error; // everything else is load's to tell
    }
  }

  // What it says is done in our name: which commands are run, say.
  async #read(): Promise<string> {
    const file = await openOwn(this.#file);
    try {
      const { mode } = await file.stat();
      if ((mode & 0o077) !== 0) {
        await file.chmod(0o600);
        const was = shownMode({ mode });
        this.#log.warn({ file: this.#file }, `others could read ${this.#file} (mode ${was}): it is 0600 now`);
      }
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  }

  async #write(hosts: SavedHost[]): Promise<void> {
    try {
      await this.#states.write({ version: VERSION, hosts });
    } catch (error) {
      const why = reasons.get(errnoOf(error) ?? "") ?? messageOf(error);
      const left =
        error instanceof UndecidedError
          ? "nothing was changed, but the file may say so until the next change"
          : "nothing was changed";
      throw new TundError("STATE_NOT_SAVED", `cannot save ${this.#file}: ${why}; ${left}`, { cause: error });
    }
  }

  // What is left out is not in the next state any more.
  async #sifted(saved: readonly SavedHost[]): Promise<SavedHost[]> {
    const { hosts, leftOut } = sift(saved);
    if (leftOut.length === 0) return hosts;
    const aside = this.#nameAside("left-out");
    const isKept = await copyFile(this.#file, aside, constants.COPYFILE_EXCL).then(
      () => `${aside} is a copy of the file`,
      (error: unknown) => `the file could not be copied (${messageOf(error)})`,
    );
    for (const { host, forward, why } of leftOut) {
      const what = forward === null ? `the host ${JSON.stringify(host)}` : `a forward of ${host}`;
      this.#log.error({ host, forward }, `left out of the saved state: ${what}: ${why}; ${isKept}`);
    }
    return hosts;
  }

  // The machine may stop while a state is appended; nobody was told yet that it is saved.
  async #mend(hosts: SavedHost[]): Promise<void> {
    const aside = this.#nameAside("cut-short");
    try {
      await copyFile(this.#file, aside, constants.COPYFILE_EXCL);
      await this.#write(hosts);
      this.#log.warn(
        { file: aside },
        `the state file's end was cut short: what was saved before is used, ${aside} is a copy`,
      );
    } catch (error) {
      this.#log.warn(
        { error: messageOf(error) },
        `the state file's end is cut short: what was saved before is used`,
      );
    }
  }

  async #setAside(what: string, why: string): Promise<void> {
    const aside = this.#nameAside(what);
    try {
      await rename(this.#file, aside);
    } catch (error) {
      throw new Error(
        `${this.#file} cannot be used (${why}), nor be set aside (${messageOf(error)}): move it away`,
        { cause: error },
      );
    }
    this.#log.error(
      { file: aside },
      `the state file was ${what} (${why}): it is now ${aside}, and tund starts empty`,
    );
  }

  #nameAside(what: string): string {
    return `${this.#file}.${what}-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`;
  }
}

class NewerError extends Error {}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parse(text: string): SavedHost[] {
  const state: unknown = JSON.parse(text);
  const version = (state as { version?: unknown } | null)?.version;
  if (typeof version === "number" && version > VERSION)
    throw new NewerError(`its version is ${version}, and this tund knows ${VERSION}`);
  if (checkState(state)) return state.hosts;
  const [problem] = checkState.errors ?? [];
  throw new Error(
    problem === undefined ? "it is no state of tund" : `${problem.instancePath || "/"} ${problem.message}`,
  );
}

const reasons: ReadonlyMap<string, string> = new Map([
  ["ENOSPC", "no space left on the disk"],
  ["EDQUOT", "the disk quota is used up"],
  ["EROFS", "the file system is read-only"],
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["ENOTDIR", "its directory is a file"],
]);
