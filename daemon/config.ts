// The daemon's settings: the only reader of the environment. One schema; the type comes from it.
import { readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { envSchema } from "env-schema";
import { type Static, Type } from "typebox";
import { socketPaths, stateDirectory } from "../shared/socket-path.ts";
import type { Person } from "./ssh/tokens.ts";
import type { SystemdConfig } from "./systemd/service.ts";

// Each description is what --help and the man page say of it.
const Environment = Type.Object({
  TUND_SOCKET: Type.Optional(
    Type.String({
      description:
        "the control socket (default: tund.sock in $RUNTIME_DIRECTORY or $XDG_RUNTIME_DIR/tund, else run/tund.sock in the " +
        "state directory)",
    }),
  ),
  TUND_STATE_DIR: Type.Optional(
    Type.String({ description: "the state directory (default: $STATE_DIRECTORY, else ~/.local/state/tund)" }),
  ),
  TUND_SSH_CONFIG: Type.Optional(
    Type.String({ description: "the -F for every host (default: as ssh does)" }),
  ),
  TUND_CONNECT: Type.Optional(
    Type.String({ description: "hosts to connect at start, with spaces between them" }),
  ),
  TUND_CONTROL_PATH: Type.Optional(
    Type.String({
      pattern: "^(none$|ssh_config$|/|~|%d|\\$\\{)",
      description:
        "where ssh -S can drive each master: a ControlPath, none, or ssh_config for what that says (default: mux/%C " +
        "beside the control socket)",
    }),
  ),
  TUND_MUX_FORWARDS: Type.Optional(
    Type.Enum(["ephemeral", "persistent"], {
      description: "ephemeral or persistent: whether forwards by ssh -O outlive tund (default: ephemeral)",
    }),
  ),
  TUND_PARK_SECONDS: Type.Optional(
    Type.String({
      pattern: "^[0-9]{1,5}$",
      description: "how long a new connection waits for a link that is away; 0: not at all (default: 30)",
    }),
  ),
  TUND_PARK_MAX: Type.Optional(
    Type.String({ pattern: "^[0-9]{1,5}$", description: "how many do, for each forward (default: 256)" }),
  ),
  TUND_METRICS_LISTEN: Type.Optional(
    Type.String({
      description: "[ADDRESS:]PORT on loopback for Prometheus (default: the control socket alone)",
    }),
  ),
  TUND_LOG_LEVEL: Type.Optional(
    Type.Enum(["debug", "info", "warn", "error"], {
      description: "debug, info, warn or error (default: info)",
    }),
  ),
  TUND_LOG_FORMAT: Type.Optional(
    Type.Enum(["json", "pretty", "journal"], {
      description: "json, pretty or journal (default: pretty on a terminal, else json)",
    }),
  ),
});

/** Every setting's variable, and what it means. */
export const variables: readonly { readonly name: string; readonly means: string }[] = Object.entries(
  Environment.properties as Record<string, { description?: string }>,
).map(([name, { description = "" }]) => ({ name, means: description }));

const ours = variables.map(({ name }) => name);

export interface Config {
  socket: string;
  stateDir: string;
  sshConfig: string | null;
  connect: readonly string[];
  /** the ControlPath of each host; null: what ssh_config says */
  controlPath: string | null;
  /** whether forwards that ssh asks for are kept when the daemon ends */
  keepsMuxForwards: boolean;
  /** of connections that wait for a link: how long in ms, and how many for each forward */
  parking: { ms: number; most: number };
  metricsListen: string | null;
  systemd: SystemdConfig;
  logLevel: "debug" | "info" | "warn" | "error";
  logFormat: "json" | "pretty" | "journal";
  person: Person;
}

/**
 * Reads the settings.
 * @param env process.env
 * @param isTerminal whether the log goes to a terminal: then it is for reading
 * @throws Error of one line that names the variable which is wrong
 */
export function loadConfig(env: NodeJS.ProcessEnv, isTerminal: boolean): Readonly<Config> {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const unknown = Object.keys(set).find((name) => name.startsWith("TUND_") && !ours.includes(name));
  if (unknown !== undefined)
    throw new Error(`${unknown} is not a setting of tund; there are ${ours.join(", ")}`);
  const settings = validate(set);
  const home = env["HOME"] || homedir();
  const { username, uid } = userInfo();
  const [socket] = socketPaths(set, home);
  return Object.freeze({
    socket,
    stateDir: stateDirectory(set, home),
    sshConfig: readable(settings.TUND_SSH_CONFIG),
    connect: settings.TUND_CONNECT?.split(/\s+/).filter((host) => host !== "") ?? [],
    controlPath: controlPath(settings.TUND_CONTROL_PATH, socket),
    keepsMuxForwards: settings.TUND_MUX_FORWARDS === "persistent",
    parking: {
      ms: Number(settings.TUND_PARK_SECONDS ?? 30) * 1000,
      most: Number(settings.TUND_PARK_MAX ?? 256),
    },
    systemd: systemdConfig(set),
    metricsListen: settings.TUND_METRICS_LISTEN ?? null,
    logLevel: settings.TUND_LOG_LEVEL ?? "info",
    logFormat: settings.TUND_LOG_FORMAT ?? (isTerminal ? "pretty" : "json"),
    person: { home, uid, username, env },
  } satisfies Config);
}

/** Where mux sockets are when nobody says: the directory, beside the control socket. */
export const muxDirectory = (socket: string): string => join(dirname(resolve(socket)), "mux");

// %C is ssh's own hash of user, host, port and jump: it fits, and a client's ssh_config says the same.
function controlPath(given: string | undefined, socket: string): string | null {
  if (given === "ssh_config") return null;
  return given ?? join(muxDirectory(socket).replaceAll("%", "%%"), "%C");
}

type Settings = Static<typeof Environment>;

function validate(data: Record<string, string | undefined>): Settings {
  try {
    return envSchema<Settings>({ schema: Environment, data, env: false, dotenv: false });
  } catch (error) {
    const [problem] =
      (error as { errors?: { instancePath: string; params: { allowedValues?: string[] } }[] }).errors ?? [];
    if (problem === undefined) throw error;
    const name = problem.instancePath.slice(1);
    const { allowedValues } = problem.params;
    const right = allowedValues === undefined ? rightOf(name) : `one of ${allowedValues.join(", ")}`;
    throw new Error(`${name} is '${data[name]}', and must be ${right}`, { cause: error });
  }
}

/** What systemd passes to a service, for it alone: children are not to take it for theirs. */
export const systemdVariables = [
  "NOTIFY_SOCKET",
  "WATCHDOG_PID",
  "WATCHDOG_USEC",
  "LISTEN_PID",
  "LISTEN_FDS",
  "LISTEN_FDNAMES",
] as const;

type SystemdVariable = (typeof systemdVariables)[number];
const FIRST_FD = 3; // SD_LISTEN_FDS_START

const isFor = (pid: string | undefined): boolean => pid === undefined || Number(pid) === process.pid;

function systemdConfig(env: Partial<Record<SystemdVariable, string | undefined>>): SystemdConfig {
  const count = env.LISTEN_PID !== undefined && isFor(env.LISTEN_PID) ? Number(env.LISTEN_FDS) || 0 : 0;
  const names = env.LISTEN_FDNAMES?.split(":") ?? [];
  const everyUs = isFor(env.WATCHDOG_PID) ? Number(env.WATCHDOG_USEC) || 0 : 0;
  return {
    notifySocket: env.NOTIFY_SOCKET ?? null,
    watchdogMs: everyUs > 0 ? everyUs / 1000 : null,
    inherited: Array.from({ length: count }, (_, index) => ({
      fd: FIRST_FD + index,
      name: names[index] ?? "tund.socket",
    })),
  };
}

const rightOf = (name: string): string =>
  name === "TUND_CONTROL_PATH" ? "none, ssh_config, or an absolute path" : "a number, 0 to 99999";

function readable(file: string | undefined): string | null {
  if (file === undefined) return null;
  if (file === "none") return file;
  try {
    readFileSync(file);
    return file;
  } catch (error) {
    throw new Error(`TUND_SSH_CONFIG names a file that cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
