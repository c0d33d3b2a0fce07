// `tunctl -O forward|cancel|check|stop|exit ... HOST`: ssh's own spelling, texts and exit codes (ssh(1), mux.c, clientloop.c).
import type { ConnectionOptions, Resolved } from "../shared/contract.ts";
import { TundError } from "../shared/errors.ts";
import { parseForwardPattern, parseForwardSpec } from "../shared/forward-spec.ts";
import { type Given, has, type Option, readArguments, valuesOf } from "./args.ts";
import { Client } from "./client.ts";
import type { Context } from "./command.ts";
import { connectionOf, connectionOptions } from "./connection-options.ts";
import { expandEnvironment } from "./environment.ts";
import { sayAsSsh } from "./fail.ts";
import { canonical, forwardOptions, kindOf } from "./forward-options.ts";
import { socket as socketOption } from "./global-options.ts";
import { servicePorts } from "./services.ts";
import { chooseSocket } from "./socket.ts";
import { FLAGS } from "./ssh-spelling.ts";

const FAILED = 255; // whatever the reason, as ssh
const command: Option = { short: "O", value: "ctl_cmd", help: "" };
const controlPath: Option = { short: "S", value: "ctl_path", help: "" };
const quiet: Option = { short: "q", help: "" };
const gateway: Option = { short: "g", help: "" };
const known = new Set(
  [...connectionOptions, ...forwardOptions, command, controlPath, quiet, gateway].map(({ short }) => short),
);
// Scripts pass them, and they mean nothing here.
const ignored: Option[] = [
  ...Array.from(FLAGS)
    .filter((short) => !known.has(short))
    .map((short) => ({ short, help: "" })),
  ...Array.from("bBcDeEImQw")
    .filter((short) => !known.has(short))
    .map((short) => ({ short, value: "value", help: "" })),
];
const options = [
  command,
  controlPath,
  quiet,
  gateway,
  ...connectionOptions,
  ...forwardOptions,
  ...ignored,
  socketOption,
];

type SpecText = Resolved["forwards"][number];

interface Asked {
  context: Context;
  client: Client;
  given: readonly Given[];
  host: string;
  /** the path that a failure names: ssh's own, if one was given */
  path: string;
  say: (text: string) => void;
}

/** Runs one command line in ssh's spelling. Gives the exit code; never throws. */
export async function dashO(argv: readonly string[], context: Context): Promise<number> {
  const { given, positionals, problem } = readArguments(argv, options, "see 'tunctl help'");
  const isQuiet = has(given, quiet);
  const say = (text: string) => (isQuiet ? undefined : sayAsSsh(context, text));
  const complain = (text: string) => {
    sayAsSsh(context, text);
    return FAILED;
  };
  const [host] = positionals;
  const run = commands[valuesOf(given, command).at(-1) ?? ""];
  if (problem !== undefined) return complain(problem.message);
  if (run === undefined) return complain("Invalid multiplex command.");
  if (host === undefined) return complain("usage: tunctl -O forward|cancel|check|stop|exit [options] HOST");
  try {
    const socketPath = chooseSocket(context, valuesOf(given, socketOption).at(-1));
    const path = valuesOf(given, controlPath).at(-1) ?? socketPath;
    return await run({ context, client: new Client(socketPath), given, host, path, say });
  } catch (error) {
    return complain(error instanceof TundError ? error.message : `unexpected error: ${String(error)}`);
  }
}

const commands: Record<string, (asked: Asked) => Promise<number>> = {
  check: (asked) => withMaster(asked, () => check(asked)),
  forward: (asked) => withMaster(asked, () => forward(asked)),
  cancel: (asked) => withMaster(asked, () => cancel(asked)),
  stop: (asked) => withMaster(asked, () => end(asked, "stopMaster", "Stop listening request sent.")),
  exit: (asked) => withMaster(asked, () => end(asked, "exitMaster", "Exit request sent.")),
};

// A master is never made by these: where there is none, ssh finds no socket.
async function withMaster(
  { client, host, path, context }: Asked,
  run: () => Promise<number>,
): Promise<number> {
  try {
    await client.call("getMaster", { params: { host } });
  } catch (error) {
    if (!(error instanceof TundError) || !["NOT_FOUND", "DAEMON_UNREACHABLE"].includes(error.code))
      throw error;
    sayAsSsh(context, `Control socket connect(${path}): No such file or directory`);
    return FAILED;
  }
  return run();
}

async function check({ client, host, context, say }: Asked): Promise<number> {
  try {
    const { pid } = await client.call("checkMaster", { params: { host } });
    sayAsSsh(context, `Master running (pid=${pid})`); // also with -q, as ssh
    return 0;
  } catch (error) {
    say(`muxclient: master alive check failed${error instanceof TundError ? `: ${error.message}` : ""}`);
    return FAILED;
  }
}

async function end(
  { client, host, say }: Asked,
  verb: "stopMaster" | "exitMaster",
  text: string,
): Promise<number> {
  await client.call(verb, { params: { host } });
  say(text);
  return 0;
}

// ssh sends each by itself and goes on after one that failed.
async function forward(asked: Asked): Promise<number> {
  const { client, host, given, context, say } = asked;
  const gatewayPorts = has(given, gateway) ? { gatewayPorts: true } : {};
  let failures = 0;
  for (const one of await merged(asked, parseForwardSpec)) {
    try {
      const body = { host, forwards: [one], ...gatewayPorts };
      const [made] = (await client.call("openForwards", { body })).forwards;
      const port = made?.allocatedPort ?? null;
      if (port !== null) context.stdout.write(`${port}\n`);
    } catch (error) {
      if (!(error instanceof TundError)) throw error;
      failures++;
      say(`mux_client_forward: forwarding request failed: ${refusalOf(one)}`);
      say(`tund: ${error.message}`);
    }
  }
  if (failures > 0) say("muxclient: master forward request failed");
  return failures > 0 ? FAILED : 0;
}

function refusalOf({ kind, spec }: SpecText): string {
  const { bind } = parseForwardPattern(kind, spec);
  if (kind !== "remote") return "Port forwarding failed";
  return `remote port forwarding failed for listen ${"path" in bind ? `path ${bind.path}` : `port ${bind.port}`}`;
}

// ssh's exit code is 0 here whatever becomes of it: scripts that cancel what is not there rely on that.
async function cancel(asked: Asked): Promise<number> {
  const { client, host, say } = asked;
  let failures = 0;
  for (const one of await merged(asked, parseForwardPattern)) {
    try {
      await client.call("cancelForwards", { body: { host, forwards: [one] } });
    } catch (error) {
      if (!(error instanceof TundError)) throw error;
      failures++;
      say(
        `mux_client_forward: forwarding request failed: ${error.code === "NOT_FOUND" ? "port not forwarded" : error.message}`,
      );
    }
  }
  if (failures > 0) say("muxclient: master cancel forward request failed");
  return 0;
}

// The forwards of ssh_config and then the command line's, those that listen here before the server's, as ssh sends them.
async function merged(asked: Asked, parse: typeof parseForwardPattern): Promise<SpecText[]> {
  const { client, host, given, context } = asked;
  const services = servicePorts(context.readServices);
  const own = given.flatMap(({ option, value }) => {
    const kind = kindOf(option);
    if (kind === undefined) return [];
    try {
      return [
        { kind, spec: canonical(parse(kind, expandEnvironment(value, context.env), services), context.cwd) },
      ];
    } catch (error) {
      if (!(error instanceof TundError)) throw error;
      throw new TundError(error.code, `Bad ${kind} forwarding specification '${value}'`, { cause: error });
    }
  });
  const connection: ConnectionOptions | undefined = connectionOf({ context, given });
  const { forwards, clearAllForwardings } = await client.call("resolveHost", {
    body: { host, ...(connection === undefined ? {} : { connection }) },
  });
  if (clearAllForwardings) return [];
  const all = [...forwards, ...own];
  return [...all.filter(({ kind }) => kind !== "remote"), ...all.filter(({ kind }) => kind === "remote")];
}
