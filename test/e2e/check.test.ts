// `tunctl check` asks by the compiled file where that is there, and blocks meanwhile; without it, as every other verb does.
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { answering } from "../support/answering.ts";
import { run } from "../support/run.ts";
import { tempDir } from "../support/temp-dir.ts";

const native = `dist/unixfd-${process.platform}-${process.arch}.node`;
const OK = "HTTP/1.1 200 OK\r\n";
const gone = "went away before it answered: see its log for why";
const noHttp = "the answer is no HTTP";

/** tunctl where it is built, and alone. */
async function programs(): Promise<string[]> {
  if (!existsSync(native)) console.log(`skipped: checking by the compiled file, since there is no ${native}`);
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const alone = join(directory.path, "tunctl.cjs");
  copyFileSync("dist/tunctl.cjs", alone);
  return [...(existsSync(native) ? ["dist/tunctl.cjs"] : []), alone];
}

/** What becomes of a check, which must be the same with and without. */
async function check(socket: string) {
  const outcomes = [];
  for (const program of await programs()) {
    const env = { ...process.env, TUND_SOCKET: socket };
    const { code, stdout, stderr } = await run(process.execPath, [program, "check", "db", "-q"], { env });
    outcomes.push({ code, stdout, stderr });
  }
  for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0]);
  return outcomes[0];
}

describe("tunctl check", () => {
  it("takes an answer that comes byte by byte, whether or not its connection ends", async () => {
    const body = JSON.stringify({ host: "db", pid: 7, roundTripMs: 1, "€": "€".repeat(70_000) });
    const head = `${OK}content-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    for (const ends of [true, false]) {
      const { path } = await answering([...head.split(""), body], ends);
      expect(await check(path)).toEqual({ code: 0, stdout: "Master running (pid=7)\n", stderr: "" });
    }
    const { path } = await answering([`${OK}\r\n`, body]);
    expect(await check(path)).toMatchObject({ code: 0, stderr: "" });
  });

  it.each([
    ["nothing", [], true, gone],
    ["half a header", [`${OK}content-le`], true, gone],
    ["half a body", [`${OK}content-length: 3\r\n\r\n`, "{}"], true, gone],
    ["another protocol", ["SSH-2.0-OpenSSH_9.2\r\n"], false, noHttp],
    ["chunks", [`${OK}transfer-encoding: chunked\r\n\r\n`], false, noHttp],
    ["a header without an end", [`${OK}a: `, "x".repeat(20_000)], false, "has more than 16384 bytes"],
  ])("says what is wrong with an answer: %s", async (_, parts, ends, why) => {
    const { path } = await answering(parts, ends);
    const stderr = expect.stringContaining(why) as string;
    expect(await check(path)).toEqual({ code: 3, stdout: "", stderr });
  });

  it("says that there is no daemon, and where", async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const path = join(directory.path, "none.sock");
    const stderr = expect.stringContaining(`no daemon answers on ${path}: `) as string;
    expect(await check(path)).toEqual({ code: 3, stdout: "", stderr });
  });
});
