// `tunctl -M -S PATH ... HOST`: a master as `ssh -M` makes it, with ssh's options, texts and exit codes (ssh(1), ssh.c).
import { appendFileSync } from "node:fs";
import { resolve } from "node:path";
import { TundError } from "../shared/errors.ts";
import type { Held } from "../shared/holds.ts";
import type { ConnectionOptions } from "../shared/records.ts";
import { type Given, has, type Option, readArguments, valuesOf } from "./args.ts";
import { withCaller } from "./caller.ts";
import { Client } from "./client.ts";
import type { Context, Invocation } from "./command.ts";
import { connectionOf, connectionOptions, controlPath } from "./connection-options.ts";
import { sayAsSsh } from "./fail.ts";
import { forwardOptions, gateway, specsAsSsh } from "./forward-options.ts";
import { socket as socketOption, wait } from "./global-options.ts";
import { endOf, giveAway, type Hold, openHold } from "./hold.ts";
import { waitSeconds } from "./socket.ts";
import { FLAGS, ownMaster } from "./ssh-spelling.ts";
import { remoteRefusal, type SpecText } from "./ssh-texts.ts";
import { holdOfOurs } from "./start-daemon.ts";
import { daemonOf } from "./wait-for-daemon.ts";

const FAILED = 255; // whatever the reason, as ssh
const background: Option = { short: "f", help: "go to the background once it is ready" };
const noCommand: Option = { short: "N", help: "no command, which there never is here" };
const quiet: Option = { short: "q", help: "say nothing on stderr" };
const verbose: Option = { short: "v", help: "say more" };
const logFile: Option = {
  short: "E",
  value: "FILE",
  takes: "files",
  help: "write there what would go to stderr",
};
const compression: Option = { short: "C", help: "compress, as ssh_config's Compression" };
// Options that stand for a setting of ssh_config, with its name.
const settings = new Map<Option, string>([
  [{ short: "b", value: "ADDRESS", help: "connect from this address of the machine" }, "BindAddress"],
  [{ short: "B", value: "INTERFACE", help: "connect from the address of this interface" }, "BindInterface"],
  [{ short: "c", value: "CIPHERS", help: "ciphers, best first" }, "Ciphers"],
  [{ short: "m", value: "MACS", help: "message authentication codes, best first" }, "MACs"],
]);
/** What means something here, but for where the daemon listens. */
export const masterOptions: readonly Option[] = [
  ownMaster,
  controlPath,
  background,
  noCommand,
  quiet,
  verbose,
  logFile,
  gateway,
  compression,
  ...settings.keys(),
  ...connectionOptions,
  ...forwardOptions,
];
const known = new Set(masterOptions.map(({ short }) => short));
// What is for sessions, of which there are none here: taken without complaint.
const ignored: Option[] = [
  ...Array.from(FLAGS, (short) => ({ short, help: "" })),
  ...Array.from("eIP", (short) => ({ short, value: "value", help: "" })),
].filter(({ short }) => !known.has(short));
const options = [...masterOptions, ...ignored, socketOption, wait];

interface Asked {
  invocation: Invocation;
  host: string;
  body: { connection: ConnectionOptions; forwards: SpecText[] };
  say: (text: string) => void;
  /** where a process in the background says why it ended */
  log: string | null;
}

/** Runs one command line. Gives the exit code; never throws. */
export async function dashM(argv: readonly string[], context: Context): Promise<number> {
  const { given, positionals, problem } = readArguments(argv, options, "see 'tunctl help'");
  const said = sayer(context, given);
  try {
    if (problem !== undefined) throw problem;
    const [host, ...command] = positionals;
    const misuse = misuseOf(given, host, command);
    if (misuse !== null || host === undefined) return (said(misuse ?? ""), FAILED);
    return await run(await askedOf(context, { given, host, say: said }));
  } catch (error) {
    said(error instanceof TundError ? error.message : `unexpected error: ${String(error)}`);
    return FAILED;
  }
}

function misuseOf(
  given: readonly Given[],
  host: string | undefined,
  command: readonly string[],
): string | null {
  if (valuesOf(given, ownMaster).length > 1) return "-MM (ControlMaster ask) is not there: tund asks nobody";
  if (host === undefined) return "usage: tunctl -M -S PATH [options] HOST";
  return command.length > 0 ? "tunctl -M has no sessions: leave the command out, and give -N" : null;
}

// -E takes what would go to stderr; -q leaves nothing but mistakes in the arguments, which come before it is read.
function sayer(context: Context, given: readonly Given[]): (text: string) => void {
  const file = valuesOf(given, logFile).at(-1);
  if (file === undefined) return (text) => sayAsSsh(context, text);
  const path = resolve(context.cwd, file);
  const stderr = { write: (text: string) => appendFileSync(path, text, { mode: 0o600 }) };
  return (text) => sayAsSsh({ stderr }, text);
}

async function askedOf(
  context: Context,
  { given, host, say }: { given: readonly Given[]; host: string; say: Asked["say"] },
): Promise<Asked> {
  const isQuiet = has(given, quiet);
  const warn = (line: string) => (isQuiet ? undefined : say(`tund: ${line}`));
  const daemon = await daemonOf(context, given, warn);
  const client = new Client(daemon);
  const file = valuesOf(given, logFile).at(-1);
  const stderr = has(given, verbose) ? "stderr" : null;
  return {
    invocation: {
      context,
      given,
      positionals: [],
      json: false,
      quiet: isQuiet,
      verbose: has(given, verbose),
      commands: [],
      daemon: () => Promise.resolve(daemon),
      call: (verb, input) => client.call(verb, input),
    },
    host,
    body: { connection: connection(context, given), forwards: specsAsSsh(context, given) },
    say: (text) => (isQuiet ? undefined : say(text)),
    log: file === undefined ? stderr : resolve(context.cwd, file),
  };
}

function connection(context: Context, given: readonly Given[]): ConnectionOptions {
  const asked = connectionOf({ context, given }) ?? {};
  const more = [
    ...(has(given, compression) ? ["Compression=yes"] : []),
    ...(has(given, gateway) ? ["GatewayPorts=yes"] : []),
    ...given.flatMap(({ option, value }) => {
      const name = settings.get(option);
      return name === undefined ? [] : [`${name}=${value}`];
    }),
  ];
  return {
    ...asked,
    ...(more.length > 0 && { options: [...more, ...(asked.options ?? [])] }),
  };
}

async function run(asked: Asked): Promise<number> {
  const { invocation, host, body } = asked;
  const { context, given } = invocation;
  const daemon = await invocation.daemon();
  // Who waits for a daemon has another one start it.
  const hold = await (waitSeconds(given) > 0 ? openHold(daemon) : holdOfOurs(context, daemon));
  const over = endOf(hold);
  const signals: NodeJS.Signals[] = [];
  context.onSignal((signal) => {
    signals.push(signal);
    hold.socket.end(); // the daemon ends the master, and then this connection
  });
  let made: Held;
  try {
    made = await withCaller(invocation, (caller) =>
      invocation.call("holdMaster", {
        params: { host },
        body: { hold: hold.id, pid: context.pid, ...body, ...caller },
      }),
    );
    tell(made, asked);
    if (has(given, background) || made.background) return await goAway(hold, made, asked);
  } catch (error) {
    hold.socket.destroy();
    return refused(error, asked);
  }
  const why = await over;
  // As ssh: this signal is the end in order, and everything else that ends it is not.
  if (signals.length > 0) return signals[0] === "SIGTERM" ? 0 : FAILED;
  if (why !== null) asked.say(`Connection to ${made.master.hostname} closed by remote host.`);
  if (why !== null) asked.say(`tund: ${why}`);
  return FAILED;
}

async function goAway(hold: Hold, { master: made }: Held, { invocation, log }: Asked): Promise<number> {
  hold.socket.removeAllListeners("data").pause();
  const pid = await giveAway(hold, `tunctl: ${made.muxSocket} [mux]`, log);
  await invocation.call("handOverHold", { params: { id: hold.id }, body: { pid } });
  return 0;
}

function tell({ master: made, forwards, refused: missing }: Held, { invocation, say }: Asked): void {
  const { hostname, port, address } = made;
  if (invocation.verbose)
    say(
      `Authenticated to ${hostname} ([${address?.replace(/:\d+$/, "").replaceAll(/[[\]]/g, "")}]:${port}).`,
    );
  for (const { spec, allocatedPort } of forwards)
    if (allocatedPort !== null)
      say(`Allocated port ${allocatedPort} for remote forward to ${spec.replace(/^.*?\b0:/, "")}`);
  for (const one of missing) {
    say(`tund: ${one.message}`);
    say(one.kind === "remote" ? `Warning: ${remoteRefusal(one)}` : "Could not request local forwarding.");
  }
  for (const warning of made.warnings) say(`tund: ${warning}`);
}

// With ExitOnForwardFailure, a forward.
function refused(error: unknown, { say }: Asked): number {
  if (!(error instanceof TundError)) throw error;
  const { kind, spec } = error.details ?? {};
  say(`tund: ${error.message}`);
  if (typeof kind === "string" && typeof spec === "string")
    say(
      kind === "remote" ? `Error: ${remoteRefusal({ kind, spec })}` : "Could not request local forwarding.",
    );
  return FAILED;
}
