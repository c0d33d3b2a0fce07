// Metrics that cannot be made: whoever asks is told, the log has the fault whole, and nobody else notices.
import { writeFile } from "node:fs/promises";
import { get, type RequestOptions } from "node:http";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { tempDir } from "../support/temp-dir.ts";

const asked = (options: RequestOptions) =>
  new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    get({ ...options, path: "/metrics", agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.once("error", reject).once("end", () => resolve({ status: answer.statusCode, text }));
    }).once("error", reject);
  });

// What is measured is asked of V8, which fails from the start, and then at every SIGUSR2 the other way round.
const PLANTED = `const v8 = require("node:v8");
const works = v8.getHeapSpaceStatistics;
const fails = () => { throw new Error("planted", { cause: new RangeError("what led to it") }); };
v8.getHeapSpaceStatistics = fails;
process.on("SIGUSR2", () => (v8.getHeapSpaceStatistics = v8.getHeapSpaceStatistics === works ? fails : works));`;

it("a scrape that fails is a 500 on either socket, however far the metrics had come, and the next one is tried anew", async () => {
  const directory = await tempDir();
  onTestFinished(() => directory.remove());
  const hook = join(directory.path, "hook.cjs");
  await writeFile(hook, PLANTED);
  const port = await freePort();
  const tund = await startTund({
    env: { TUND_METRICS_LISTEN: String(port), NODE_OPTIONS: `--require ${hook}` },
  });
  onTestFinished(async () => void (await tund.stop()));
  const both = () => Promise.all([asked({ socketPath: tund.socket }), asked({ host: "127.0.0.1", port })]);
  const statuses = async () => (await both()).map(({ status }) => status);
  const toggled = async (expected: number) => {
    process.kill(tund.pid, "SIGUSR2");
    await eventually(async () => expect(await statuses()).toEqual([expected, expected]));
  };
  // They cannot even be begun with; then they can; then there are metrics, and their text cannot be made.
  expect(await statuses()).toEqual([500, 500]);
  await toggled(200);
  await toggled(500);
  const [api] = await both();
  expect(JSON.parse(api?.text ?? "")).toEqual({
    code: "INTERNAL",
    message: "tund failed inside (planted); its log says more",
  });
  await toggled(200);
  expect((await tund.tunctl(["status"])).code).toBe(0);
  const faults = tund
    .log()
    .split("\n")
    .filter((line) => line.includes('"tund failed inside"'))
    .map((line) => JSON.parse(line) as { err: { stack: string } });
  expect(faults[0]).toMatchObject({
    level: "error",
    err: { message: "planted", cause: { type: "RangeError", message: "what led to it" } },
  });
  expect(faults[0]?.err.stack).toContain("hook.cjs");
});
