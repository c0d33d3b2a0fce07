// The demo's terminal: runs commands, and shows each with what it really said.
import { get } from "node:http";
import type { Tund } from "../test/support/daemon.ts";
import { type Outcome, run } from "../test/support/run.ts";

const STEP_MS = 20_000;

/** @throws Error that names the claim, if it does not hold */
export function check(holds: boolean, claim: string): asserts holds {
  if (!holds) throw new Error(`this should be so, and is not: ${claim}`);
}

/** Shows commands and what they say, and plain words between them. */
export class DemoShell {
  readonly #colour: boolean;
  #closed = false;

  constructor(colour: boolean) {
    this.#colour = colour;
  }

  say(text: string): void {
    if (!this.#closed) console.log(text);
  }

  /** Says nothing any more: what goes wrong after an interruption is no news. */
  close(): void {
    this.#closed = true;
  }

  /** What the next commands are about. */
  remark(text: string): void {
    this.say(`\n${this.#colour ? `\u001B[36m# ${text}\u001B[0m` : `# ${text}`}`);
  }

  command(words: string): void {
    this.say(this.#colour ? `\u001B[1m$ ${words}\u001B[0m` : `$ ${words}`);
  }

  /** Runs `tunctl` and shows it. The socket is in its environment: what is shown is what ran. @throws Error if it fails */
  async tunctl(tund: Tund, ...args: string[]): Promise<Outcome> {
    const ended = await this.#show(`tunctl ${args.join(" ")}`, () =>
      tund.tunctl(args, { deadlineMs: STEP_MS }),
    );
    check(ended.code === 0, `tunctl ${args[0]} succeeds (its exit code was ${ended.code})`);
    return ended;
  }

  /** Fetches a page with curl and shows it; where there is no curl, without it. */
  curl(port: number): Promise<Outcome> {
    const url = `http://localhost:${port}/`;
    return this.#show(`curl -sS ${url}`, async () => {
      try {
        // No proxy of the user's: it could not reach this machine's loopback.
        const env = { PATH: process.env["PATH"] };
        return await run("curl", ["-sS", url], { env, deadlineMs: STEP_MS });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return await fetchPage(url);
        throw error;
      }
    });
  }

  async #show(words: string, task: () => Promise<Outcome>): Promise<Outcome> {
    this.command(words);
    const ended = await task();
    const output = `${ended.stdout}${ended.stderr}`.trimEnd();
    if (output !== "") this.say(output.replaceAll(/^/gm, "  "));
    return ended;
  }
}

/** Asks `tunctl --json` without showing it: what the demo checks its own claims by. */
export async function ask<T>(tund: Tund, verb: "list" | "status"): Promise<T> {
  const { code, stdout, stderr } = await tund.tunctl(["--json", verb], { deadlineMs: STEP_MS });
  check(code === 0, `tunctl --json ${verb} succeeds: ${stderr.trim()}`);
  return JSON.parse(stdout) as T;
}

const fetchPage = (url: string): Promise<Outcome> =>
  new Promise((done) => {
    const request = get(url, { timeout: STEP_MS, agent: false }, (response) => {
      let stdout = "";
      response.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
      response.on("end", () => done({ code: 0, signal: null, stdout, stderr: "" }));
    });
    request.on("timeout", () => request.destroy(new Error("timed out")));
    request.on("error", (error: NodeJS.ErrnoException) => {
      const stderr = `no answer from ${url}: ${error.code ?? error.message}`;
      done({ code: 7, signal: null, stdout: "", stderr });
    });
  });
