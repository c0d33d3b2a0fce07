// A thousand forwards: what tund needs to come up with them, and to tell of them.
import { setTimeout as sleep } from "node:timers/promises";
import type { Forward } from "../../shared/records.ts";
import { startInBackground } from "../../test/support/background.ts";
import { startTund, type Tund } from "../../test/support/daemon.ts";
import { freePort } from "../../test/support/free-port.ts";
import { refuses } from "../../test/support/tcp.ts";
import { tempDir } from "../../test/support/temp-dir.ts";
import { type Bench, type Part, timed, times } from "../bench.ts";
import { type Control, openControl } from "../control.ts";
import type { Measure } from "../measures.ts";
import { memoryOf } from "../memory-of.ts";
import { masterArguments } from "../subjects.ts";

const COUNT = 1000;
const BATCH = 200; // the API takes 256 at once
const READINGS = 20;

const ms = (name: string, title: string, beside?: string): Measure => ({
  name: `thousand.${name}`,
  title,
  unit: "ms",
  digits: 1,
  better: "less",
  ...(beside !== undefined && { beside }),
});

const measures: readonly Measure[] = [
  ms("answers", "tund's start, until it answers"),
  ms("active", "start, until all of them are active", "ssh -N"),
  ms("list", "list over an open control connection"),
  ms("metrics", "/metrics over an open control connection"),
  ms("tunctl-list", "`tunctl list`"),
  { ...ms("memory", "RSS"), unit: "MiB" },
];

/** One port on a thousand addresses: nobody else listens there, where a thousand ports would have to be looked for. */
const specs = (port: number, destination: number): string[] =>
  Array.from(
    { length: COUNT },
    (_, index) => `127.1.${index >> 8}.${index & 255}:${port}:127.0.0.1:${destination}`,
  );

async function allActive(control: Control): Promise<void> {
  for (;;) {
    const { forwards } = JSON.parse(await control.call("GET", "/v1/forwards")) as { forwards: Forward[] };
    if (forwards.length === COUNT && forwards.every(({ state }) => state === "active")) return;
    await sleep(10);
  }
}

async function setUp({ sshd, load }: Bench, home: string, port: number): Promise<void> {
  const tund = await startTund({ home, env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  const control = openControl(tund.socket);
  try {
    const forwards = specs(port, load.far.echo).map((spec) => ({ kind: "local", spec }));
    for (let at = 0; at < COUNT; at += BATCH)
      await control.call("POST", "/v1/forwards", {
        host: "testhost",
        forwards: forwards.slice(at, at + BATCH),
      });
  } finally {
    control.close();
    await tund.stop();
  }
}

async function tell({ record }: Bench, tund: Tund, control: Control): Promise<void> {
  for (const [name, path] of [
    ["list", "/v1/forwards"],
    ["metrics", "/metrics"],
  ] as const) {
    const taken = await times(READINGS, () => timed(() => control.call("GET", path)));
    for (const value of taken.slice(READINGS / 4)) record(`thousand.${name}`, "tund", value);
  }
  record("thousand.memory", "tund", memoryOf(tund.pid).rss);
  record("thousand.tunctl-list", "tund", await timed(() => tund.tunctl(["list"])));
}

async function startOnce(bench: Bench, home: string): Promise<void> {
  let tund: Tund | undefined;
  let control: Control | undefined;
  try {
    let answers = 0;
    const active = await timed(async () => {
      answers = await timed(async () => {
        tund = await startTund({ home, env: { TUND_SSH_CONFIG: bench.sshd.sshConfig } });
      });
      control = openControl(tund?.socket ?? "");
      await allActive(control);
    });
    bench.record("thousand.answers", "tund", answers);
    bench.record("thousand.active", "tund", active);
    if (tund !== undefined && control !== undefined) await tell(bench, tund, control);
  } finally {
    control?.close();
    await tund?.stop();
  }
}

async function sshOnce({ sshd, load, record }: Bench, port: number): Promise<void> {
  const all = specs(port, load.far.echo);
  const last = `127.1.${(COUNT - 1) >> 8}.${(COUNT - 1) & 255}`;
  const args = [...masterArguments(sshd, "none"), ...all.flatMap((spec) => ["-L", spec]), "testhost"];
  const started = performance.now();
  const ssh = await startInBackground("ssh", args, { env: process.env, cwd: sshd.directory });
  try {
    while (!ssh.ended() && (await refuses(port, last))) await sleep(5);
    if (ssh.ended()) throw new Error(`ssh ended: ${ssh.log()}`);
    record("thousand.active", "beside", performance.now() - started);
  } finally {
    ssh.kill("SIGTERM");
    await ssh.end;
  }
}

async function run(bench: Bench): Promise<void> {
  if (process.platform !== "linux") return bench.note("thousand: 127.1.0.0/16 is not there but on Linux");
  const home = await tempDir();
  try {
    const port = await freePort();
    await setUp(bench, home.path, port);
    await times(Math.min(bench.rounds, 3), async () => {
      await startOnce(bench, home.path);
      await sshOnce(bench, port);
    });
  } finally {
    await home.remove();
  }
}

/** A thousand persistent forwards. */
export const thousand: Part = { name: "thousand", title: "A thousand forwards", measures, run };
