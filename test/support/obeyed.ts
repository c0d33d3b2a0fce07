// A place in which several users have directories, and a state that shows whether tund obeys it.
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commonPlace, directoryOf, runAs, US } from "./users.ts";

export class Place {
  /** a directory of root's, which everybody can go through */
  readonly base: string;

  private constructor(base: string) {
    this.base = base;
    directoryOf(US, this.at("ours"));
  }

  /** Makes one for the running test. */
  static async make(): Promise<Place> {
    return new Place(await commonPlace());
  }

  at(path: string): string {
    return join(this.base, path);
  }

  /** Puts a state into a directory, by which a command is run as soon as it is obeyed. Gives the directory. */
  fill(directory: string, { uid = US, mode = 0o600 } = {}): string {
    const options = [`ProxyCommand=touch ${this.at("ours/ran")}; sleep 9`];
    const host = { host: "h", kept: true, connection: { options }, forwards: [] };
    const file = join(directory, "state.json");
    writeFileSync(file, JSON.stringify({ version: 1, hosts: [host] }));
    chownSync(file, uid, uid);
    chmodSync(file, mode);
    return directory;
  }

  /** whether that command has been run */
  get hasRun(): boolean {
    return existsSync(this.at("ours/ran"));
  }

  /** tund's environment here, with what is added to it */
  env(more: Readonly<Record<string, string>>): Record<string, string> {
    const socket = this.at("ours/run/tund.sock");
    return { HOME: this.at("ours"), TUND_SOCKET: socket, TUND_SSH_CONFIG: "/dev/null", ...more };
  }

  /**
   * Runs tund as US until it refuses to go on. Gives the line that it says.
   * @throws Error when it says more than that, or has run or changed anything
   */
  async refusal(more: Readonly<Record<string, string>>): Promise<string> {
    const before = this.#tree();
    const { code, stdout, stderr } = await runAs(US, ["tund"], this.env(more));
    const [line = "", ...rest] = stderr.split("\n").filter((text) => !text.startsWith("{"));
    const after = this.#tree();
    if (code === 1 && stdout === "" && rest.join("") === "" && !this.hasRun && before === after) return line;
    throw new Error(`exit code ${code}, ${stdout}${stderr}\nbefore:\n${before}\nafter:\n${after}`);
  }

  // Everything with its owner and mode; but for the directory that a start makes for its socket, and where it lies.
  #tree(): string {
    const own = this.at("ours");
    const but = ["(", "-path", own, "-o", "-path", join(own, "run"), ")", "-o"];
    const { stdout } = spawnSync("find", [this.base, ...but, "-printf", "%p %U %G %m %y %s\n"], {
      encoding: "utf8",
    });
    return stdout;
  }
}
