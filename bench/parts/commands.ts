// Commands: what it costs to ask, as whole processes and over a connection that is open already.
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { freePort } from "../../test/support/free-port.ts";
import { type Bench, type Part, timed, times } from "../bench.ts";
import { openControl, openMux } from "../control.ts";
import type { Measure } from "../measures.ts";
import { startSshSubject, startTundSubject, type Subject } from "../subjects.ts";

const TUNCTL = resolve(import.meta.dirname, "../../dist/tunctl.cjs");
const PROCESSES = 5; // in each round
const CALLS = 100;
const WARM_UP = 100;

const ms = (name: string, title: string, beside: string, mark?: Measure["mark"]): Measure => ({
  name: `commands.${name}`,
  title,
  unit: "ms",
  digits: 1,
  better: "less",
  beside,
  ...(mark !== undefined && { mark }),
});

const measures: readonly Measure[] = [
  ms("check", "`tunctl check`", "node -e 0", { of: "ratio", most: 1.3 }),
  ms("list", "`tunctl list`", "node -e 0"),
  ms("check.ssh", "`tunctl check`", "ssh -O check"),
  ms("forward", "`forward` and `cancel`, two processes", "ssh -O"),
  {
    ...ms("open", "`forward` and `cancel`, open control connection", "ssh -M, open mux connection", {
      of: "value",
      most: 2,
    }),
    digits: 2,
  },
  { ...ms("ephemeral", "the same, `ephemeral`: nothing is saved", "ssh -M, open mux connection"), digits: 2 },
  { ...ms("mux", "the same over tund's mux socket", "ssh -M, open mux connection"), digits: 2 },
];

/** A command from its start to its end; nothing else of ours runs meanwhile. @throws Error when it fails */
function processMs(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  return timed(() => {
    const { status, stderr } = spawnSync(program, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr.toString()}`);
  });
}

interface Pair {
  tund: Subject;
  socket: string;
  mux: { tund: string; ssh: string };
}

async function ofProcesses({ rounds, record, sshd, load }: Bench, { socket, mux }: Pair): Promise<void> {
  // The same for all: NODE_EXTRA_CA_CERTS alone, where it is set, makes a bare node start in three times the time.
  const env = { PATH: process.env["PATH"], TUND_SOCKET: socket };
  const tunctl = (...args: string[]) => processMs(process.execPath, [TUNCTL, ...args], env);
  const ssh = (verb: string, ...args: string[]) =>
    processMs("ssh", ["-F", sshd.sshConfig, "-S", mux.ssh, "-O", verb, ...args, "testhost"], env);
  await times(rounds * PROCESSES, async () => {
    const bare = await processMs(process.execPath, ["-e", "0"], env);
    const check = await tunctl("check", "testhost");
    record("commands.check", "tund", check);
    record("commands.check.ssh", "tund", check);
    record("commands.list", "tund", await tunctl("list"));
    for (const name of ["check", "list"]) record(`commands.${name}`, "beside", bare);
    record("commands.check.ssh", "beside", await ssh("check"));
    const spec = ["-L", `127.0.0.1:${await freePort()}:127.0.0.1:${load.far.echo}`];
    const ours =
      (await tunctl("forward", ...spec, "testhost")) + (await tunctl("cancel", ...spec, "testhost"));
    record("commands.forward", "tund", ours);
    record("commands.forward", "beside", (await ssh("forward", ...spec)) + (await ssh("cancel", ...spec)));
  });
}

async function ofCalls({ rounds, record, load }: Bench, { socket, mux }: Pair): Promise<void> {
  const control = openControl(socket);
  const ours = await openMux(mux.tund);
  const theirs = await openMux(mux.ssh);
  const port = await freePort();
  const body = {
    host: "testhost",
    forwards: [{ kind: "local", spec: `127.0.0.1:${port}:127.0.0.1:${load.far.echo}` }],
  };
  const byControl = async (ephemeral: boolean): Promise<void> => {
    const { forwards } = JSON.parse(await control.call("POST", "/v1/forwards", { ...body, ephemeral })) as {
      forwards: { id: string }[];
    };
    await control.call("DELETE", `/v1/forwards/${forwards[0]?.id}`);
  };
  try {
    for (let round = 0; round <= rounds; round++)
      await times(round === 0 ? WARM_UP : CALLS, async () => {
        const taken = {
          tund: await timed(() => byControl(false)),
          ephemeral: await timed(() => byControl(true)),
          mux: await timed(() => ours.forwardAndCancel(port, load.far.echo)),
          ssh: await timed(() => theirs.forwardAndCancel(port, load.far.echo)),
        };
        if (round === 0) return;
        record("commands.open", "tund", taken.tund);
        record("commands.ephemeral", "tund", taken.ephemeral);
        record("commands.mux", "tund", taken.mux);
        for (const name of ["open", "ephemeral", "mux"]) record(`commands.${name}`, "beside", taken.ssh);
      });
  } finally {
    control.close();
    ours.close();
    theirs.close();
  }
}

async function run(bench: Bench): Promise<void> {
  const { sshd, load } = bench;
  const tund = await startTundSubject({ sshd, far: load.far });
  try {
    const mux = join(sshd.directory, "bench-mux");
    const ssh = await startSshSubject({ sshd, far: load.far }, mux);
    const socket = tund.tund?.socket ?? "";
    const control = openControl(socket);
    try {
      const master = JSON.parse(await control.call("GET", "/v1/masters/testhost")) as { muxSocket: string };
      const pair = { tund, socket, mux: { tund: master.muxSocket, ssh: mux } };
      await ofProcesses(bench, pair);
      await ofCalls(bench, pair);
    } finally {
      control.close();
      await ssh.stop();
    }
  } finally {
    await tund.stop();
  }
}

/** The command line, and the control socket. */
export const commands: Part = { name: "commands", title: "Commands", measures, run };
