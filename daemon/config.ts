// The daemon's settings: the only reader of the environment.
import { closeSync, constants, fstatSync, openSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { homeDirectory, ownAccount } from "../shared/account.ts";
import { socketPaths, stateDirectory } from "../shared/socket-path.ts";
import { checkSettings } from "./checks.ts";
import { type Settings, variables } from "./settings.ts";
import type { Person } from "./ssh/tokens.ts";
import type { SystemdConfig } from "./systemd/service.ts";

const ours = variables.map(({ name }) => name);

export interface Config {
  socket: string;
  /** runtime directories that are taken for unset, and why: a line each */
  passedOver: readonly string[];
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
  /** whether passwd(5) knows the uid: ssh does not run where it does not */
  hasAccount: boolean;
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
  const home = homeDirectory(env["HOME"]);
  const uid = process.getuid?.() ?? -1;
  const account = ownAccount();
  const username = account?.username ?? String(uid);
  const passedOver: string[] = [];
  const [socket] = socketPaths(set, home, (line) => passedOver.push(line));
  return Object.freeze({
    socket,
    passedOver,
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
    hasAccount: account !== null,
  } satisfies Config);
}

/** Where mux sockets are when nobody says: the directory, beside the control socket. */
export const muxDirectory = (socket: string): string => join(dirname(resolve(socket)), "mux");

// %C is ssh's own hash of user, host, port and jump: it fits, and a client's ssh_config says the same.
function controlPath(given: string | undefined, socket: string): string | null {
  if (given === "ssh_config") return null;
  return given ?? join(muxDirectory(socket).replaceAll("%", "%%"), "%C");
}

function validate(data: Record<string, string | undefined>): Settings {
  if (checkSettings(data)) return data;
  const [problem] = checkSettings.errors ?? [];
  const name = problem?.instancePath.slice(1) ?? "";
  const { allowedValues } = (problem?.params ?? {}) as { allowedValues?: string[] };
  const right = allowedValues === undefined ? rightOf(name) : `one of ${allowedValues.join(", ")}`;
  throw new Error(`${name} is '${data[name]}', and must be ${right}`);
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
    // A FIFO would have ssh wait for as long as nobody writes to it.
    const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(descriptor);
    closeSync(descriptor);
    const isRight = stats.isFile() || stats.rdev === statSync("/dev/null").rdev;
    if (!isRight) throw new Error(`${file} is no regular file`);
    return file;
  } catch (error) {
    throw new Error(`TUND_SSH_CONFIG names a file that cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
