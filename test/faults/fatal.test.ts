// A fault that ends the daemon: planted, since none is known.
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { tempDir } from "../support/temp-dir.ts";

const FAULT = `new Error("planted", { cause: new TypeError("what led to it", { cause: Object.assign(new Error("first"), { code: "EFIRST" }) }) })`;
const PLANTED = `process.on("SIGUSR2", () => { throw ${FAULT}; });
process.on("SIGWINCH", () => void Promise.reject(${FAULT}));`;

it.each([
  ["SIGUSR2", "uncaughtException"],
  ["SIGWINCH", "unhandledRejection"],
] as const)(
  "by %s it is in the log with its stack, what led to it, and what was in hand",
  async (signal, origin) => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const hook = join(directory.path, "hook.cjs");
    await writeFile(hook, PLANTED);
    const file = join(directory.path, "log");
    const env = { NODE_OPTIONS: `--require ${hook}` };
    // To a pipe, and to a file, which is written by a thread.
    const toPipe = await startTund({ env });
    const toFile = await startTund({ env, within: ["/bin/sh", "-c", `exec "$@" 2>${file}`, "sh"] });
    for (const tund of [toPipe, toFile]) {
      onTestFinished(async () => void (await tund.stop("SIGKILL")));
      expect(await tund.stop(signal)).toEqual({ code: 1, signal: null });
    }
    for (const log of [toPipe.log(), readFileSync(file, "utf8")]) {
      const last = JSON.parse(log.trimEnd().split("\n").at(-1) ?? "") as { err: { stack: string } };
      expect(last).toMatchObject({
        level: "error",
        msg: "tund cannot go on",
        origin,
        err: {
          type: "Error",
          message: "planted",
          cause: {
            type: "TypeError",
            message: "what led to it",
            cause: { message: "first", code: "EFIRST" },
          },
        },
        masters: { ready: 0 },
      });
      expect(last.err.stack).toContain("hook.cjs");
    }
  },
);
