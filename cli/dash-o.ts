// `tunctl -O forward|cancel|check|stop|exit ... HOST`: ssh's own spelling, texts and exit codes (ssh(1), mux.c, clientloop.c).
import type { ConnectionOptions } from "../shared/records.ts";
import { errnoOf, TundError } from "../shared/errors.ts";
import { parseForwardPattern, parseForwardSpec } from "../shared/forward-spec.ts";
import { type Given, has, type Option, readArguments, valuesOf } from "./args.ts";
import { Client } from "./client.ts";
import type { Context } from "./command.ts";
import { connectionOf, connectionOptions, controlPath } from "./connection-options.ts";
import { ForeignSocketError } from "./control-socket.ts";
import { sayAsSsh } from "./fail.ts";
import { forwardOptions, gateway, specsAsSsh } from "./forward-options.ts";
import { socket as socketOption, wait } from "./global-options.ts";
import { answer } from "./print.ts";
import { control, type controlCommands, FLAGS, toward } from "./ssh-spelling.ts";
import { remoteRefusal, type SpecText } from "./ssh-texts.ts";
import { daemonOf } from "./wait-for-daemon.ts";

const FAILED = 255; // whatever the reason, as ssh
const quiet: Option = { short: "q", help: "say nothing on stderr" };
/** What means something here, but for where the daemon listens. */
export const controlOptions: readonly Option[] = [
  control,
  controlPath,
  quiet,
  gateway,
  ...connectionOptions,
  ...forwardOptions,
];
const known = new Set(controlOptions.map(({ short }) => short));
// Scripts pass them, and they mean nothing here.
const ignored: Option[] = [
  ...Array.from(FLAGS)
    .filter((short) => !known.has(short))
    .map((short) => ({ short, help: "" })),
  ...Array.from("bBcDeEImPQw")
    .filter((short) => !known.has(short))
    .map((short) => ({ short, value: "value", help: "" })),
];
const options = [...controlOptions, toward, ...ignored, socketOption, wait];

interface Asked {
  context: Context;
  client: Client;
  /** What ssh_config knows it by. */
  host: string;
  /** What the daemon knows its master by. */
  name: string;
  connection: ConnectionOptions | undefined;
  /** The command line's own. */
  forwards: readonly SpecText[];
  gatewayPorts: boolean;
  /** The path that a failure names: ssh's own, if one was given. */
  path: string;
  /** Says something unless -q. */
  say: (text: string) => void;
}

/** Runs one command line in ssh's spelling. Gives the exit code; never throws. */
export async function dashO(argv: readonly string[], context: Context): Promise<number> {
  const { given, positionals, problem } = readArguments(argv, options, "see 'tunctl help'");
  const [name = "", another] = valuesOf(given, control);
  const run = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const [host] = positionals;
  // Never silent: ssh complains of its arguments before it has read -q.
  const complain = (text: string) => {
    sayAsSsh(context, text);
    return FAILED;
  };
  if (problem !== undefined) return complain(problem.message);
  if (run === undefined) return complain("Invalid multiplex command.");
  if (another !== undefined) return complain("Multiplexing command already specified");
  if (has(given, toward)) return complain("Cannot specify stdio forward with -O");
  if (host === undefined) return complain("usage: tunctl -O forward|cancel|check|stop|exit [options] HOST");
  try {
    const parse = name === "cancel" ? parseForwardPattern : parseForwardSpec;
    return await run(await askedOf(context, { given, host, forwards: specsAsSsh(context, given, parse) }));
  } catch (error) {
    return complain(error instanceof TundError ? error.message : `unexpected error: ${String(error)}`);
  }
}

async function askedOf(
  context: Context,
  { given, host, forwards }: { given: readonly Given[]; host: string; forwards: SpecText[] },
): Promise<Asked> {
  const isQuiet = has(given, quiet);
  const say = (text: string) => (isQuiet ? undefined : sayAsSsh(context, text));
  const warn = (line: string) => say(`tund: ${line}`);
  const daemon = await daemonOf(context, given, warn);
  return {
    context,
    client: new Client(daemon),
    host,
    name: host,
    connection: connectionOf({ context, given }),
    forwards,
    gatewayPorts: has(given, gateway),
    path: valuesOf(given, controlPath).at(-1) ?? daemon.path,
    say,
  };
}

type Run = (asked: Asked) => Promise<number>;

const commands: Record<string, Run> = {
  check: (asked) => withMaster(asked, check),
  forward: (asked) => withMaster(asked, forward),
  cancel: (asked) => withMaster(asked, cancel),
  stop: (asked) => withMaster(asked, stop),
  exit: (asked) => withMaster(asked, exit),
} satisfies Record<(typeof controlCommands)[number], Run>;

// A master is never made by these: where there is none, ssh finds no socket.
async function withMaster(asked: Asked, run: (asked: Asked) => Promise<number>): Promise<number> {
  const { path, say } = asked;
  let name: string;
  try {
    name = await nameOf(asked);
  } catch (error) {
    if (!(error instanceof TundError) || !["NOT_FOUND", "DAEMON_UNREACHABLE"].includes(error.code))
      throw error;
    if (error.cause instanceof ForeignSocketError) throw error; // ssh has no words for it
    say(`Control socket connect(${path}): ${whyNot(error)}`);
    return FAILED;
  }
  return run({ ...asked, name });
}

// With -S it is the master that is driven there, whatever the host is called: as ssh, which does not look at that.
async function nameOf({ client, host, connection }: Asked): Promise<string> {
  const isAt = connection?.controlPath !== undefined && connection.controlPath !== "none";
  if (!isAt) {
    await client.call("getMaster", { params: { host } });
    return host;
  }
  const { controlPath: at } = await client.call("resolveHost", { body: { host, connection } });
  const { masters } = await client.call("listMasters", {});
  const found = masters.find(({ muxSocket }) => muxSocket === at);
  if (found === undefined) throw new TundError("NOT_FOUND", `no master at ${at}`);
  return found.host;
}

// strerror(3), as ssh has it.
function whyNot({ cause }: TundError): string {
  const errno = errnoOf(cause) ?? "";
  if (errno === "ECONNREFUSED") return "Connection refused";
  return errno === "EACCES" || errno === "EPERM" ? "Permission denied" : "No such file or directory";
}

// Why, in the daemon's words: a line of its own, so that ssh's is as scripts know it.
function reason({ say }: Asked, error: unknown): TundError {
  if (!(error instanceof TundError)) throw error;
  say(`tund: ${error.message}`);
  return error;
}

async function check(asked: Asked): Promise<number> {
  const { client, name: host, context, say } = asked;
  try {
    const { pid } = await client.call("checkMaster", { params: { host } });
    sayAsSsh(context, `Master running (pid=${pid})`); // also with -q, as ssh
    return 0;
  } catch (error) {
    reason(asked, error);
    say("muxclient: master alive check failed");
    return FAILED;
  }
}

async function stop(asked: Asked): Promise<number> {
  const { client, name: host, say } = asked;
  try {
    await client.call("stopMaster", { params: { host } });
    say("Stop listening request sent.");
    return 0;
  } catch (error) {
    if (!(error instanceof TundError)) throw error;
    say(`mux_client_request_stop_listening: stop listening request failed: ${error.message}`);
    return FAILED;
  }
}

async function exit(asked: Asked): Promise<number> {
  const { client, name: host, say } = asked;
  try {
    await client.call("exitMaster", { params: { host } });
    say("Exit request sent.");
    return 0;
  } catch (error) {
    if (!(error instanceof TundError)) throw error;
    say(`Master refused termination request: ${error.message}`);
    return FAILED;
  }
}

// ssh sends each by itself and goes on after one that failed.
async function forward(asked: Asked): Promise<number> {
  const { client, name: host, context, say } = asked;
  const gatewayPorts = asked.gatewayPorts ? { gatewayPorts: true } : {};
  let failures = 0;
  for (const one of await merged(asked)) {
    try {
      const body = { host, forwards: [one], ...gatewayPorts };
      const [made] = (await client.call("openForwards", { body })).forwards;
      const port = made?.allocatedPort ?? null;
      // A script reads it, -q or not.
      if (port !== null) answer({ context }, String(port));
    } catch (error) {
      failures++;
      say(`mux_client_forward: forwarding request failed: ${refusalOf(one)}`);
      reason(asked, error);
    }
  }
  if (failures > 0) say("muxclient: master forward request failed");
  return failures > 0 ? FAILED : 0;
}

const refusalOf = (one: SpecText): string =>
  one.kind === "remote" ? remoteRefusal(one) : "Port forwarding failed";

// ssh's exit code is 0 here whatever becomes of it: scripts that cancel what is not there rely on that.
async function cancel(asked: Asked): Promise<number> {
  const { client, name: host, say } = asked;
  let failures = 0;
  for (const one of await merged(asked)) {
    try {
      await client.call("cancelForwards", { body: { host, forwards: [one] } });
    } catch (error) {
      if (!(error instanceof TundError)) throw error;
      failures++;
      const why = error.code === "NOT_FOUND" ? "port not forwarded" : error.message;
      say(`mux_client_forward: forwarding request failed: ${why}`);
    }
  }
  if (failures > 0) say("muxclient: master cancel forward request failed");
  return 0;
}

// The forwards of ssh_config and then the command line's, those that listen here before the server's, as ssh sends them.
async function merged({ client, host, connection, forwards: own }: Asked): Promise<SpecText[]> {
  const { forwards, clearAllForwardings } = await client.call("resolveHost", {
    body: { host, ...(connection === undefined ? {} : { connection }) },
  });
  if (clearAllForwardings) return [];
  const all = [...forwards, ...own];
  return [...all.filter(({ kind }) => kind !== "remote"), ...all.filter(({ kind }) => kind === "remote")];
}
