// The options of ssh(1) that say how to connect, on every verb that may.
import { resolve } from "node:path";
import type { ConnectionOptions } from "../shared/records.ts";
import { type Given, type Option, usageError, valuesOf } from "./args.ts";
import type { Invocation } from "./command.ts";
import { servicePorts } from "./services.ts";

/** Another ssh_config than the user's own. */
export const configFile: Option = {
  short: "F",
  value: "FILE",
  takes: "files",
  help: "ssh_config to read, or none",
};
const setting: Option = { short: "o", value: "KEY=VALUE", help: "an ssh_config option; may be repeated" };
const port: Option = { short: "p", value: "PORT", help: "port of the SSH server" };
const user: Option = { short: "l", value: "USER", help: "user to log in as" };
const identity: Option = {
  short: "i",
  value: "FILE",
  takes: "files",
  help: "identity (private key); may be repeated",
};
const jump: Option = {
  short: "J",
  value: "HOST[,HOST...]",
  takes: "hosts",
  help: "connect by way of these hosts",
};
/** Not on every verb: where ssh is to be able to drive the master. */
export const controlPath: Option = {
  short: "S",
  value: "PATH",
  takes: "files",
  help: "where ssh -S can drive its master, as ControlPath, or none",
};
const inet: Option = { short: "4", help: "IPv4 only" };
const inet6: Option = { short: "6", help: "IPv6 only" };

/** What a verb that may connect takes. */
export const connectionOptions: readonly Option[] = [
  configFile,
  setting,
  port,
  user,
  identity,
  jump,
  inet,
  inet6,
];

/**
 * The connection options as the API takes them, or undefined when none was given. Of several, ssh keeps the first -p
 * and -l, the last -F, -4 or -6, and refuses a second -J; paths are the caller's, so they are made absolute.
 * @throws TundError INVALID_REQUEST for a port that is none, or a second -J
 */
export function connectionOf({
  context,
  given,
}: Pick<Invocation, "context" | "given">): ConnectionOptions | undefined {
  const chosen: ConnectionOptions = {};
  const [file, settings] = [valuesOf(given, configFile).at(-1), valuesOf(given, setting)];
  const [portText, userName] = [valuesOf(given, port)[0], valuesOf(given, user)[0]];
  const [hop, anotherHop] = valuesOf(given, jump);
  const [identities, muxPath] = [valuesOf(given, identity), valuesOf(given, controlPath).at(-1)];
  const family = familyOf(given);
  if (anotherHop !== undefined) throw usageError("-J was given twice: join the hosts with commas");
  if (file !== undefined) chosen.configFile = file === "none" ? file : resolve(context.cwd, file);
  if (settings.length > 0) chosen.options = settings;
  if (portText !== undefined) chosen.port = portOf(portText, context.readServices);
  if (userName !== undefined) chosen.user = userName;
  if (identities.length > 0) chosen.identityFiles = identities.map((path) => identityPath(path, context.cwd));
  if (hop !== undefined) chosen.jump = hop;
  if (muxPath !== undefined) chosen.controlPath = controlPathOf(muxPath, context.cwd);
  if (family !== undefined) chosen.addressFamily = family;
  return Object.keys(chosen).length === 0 ? undefined : chosen;
}

function familyOf(given: readonly Given[]): "inet" | "inet6" | undefined {
  const last = given.findLast(({ option }) => option === inet || option === inet6);
  if (last === undefined) return undefined;
  return last.option === inet ? "inet" : "inet6";
}

function portOf(text: string, readServices: () => string): number {
  const found = /^[0-9]+$/.test(text) ? Number(text) : servicePorts(readServices)(text);
  if (found === undefined || found < 1 || found > 65_535)
    throw usageError(`bad port '${text}' for -p: it must be from 1 to 65535`);
  return found;
}

// `~`, `%` and `${` begin what ssh expands.
const controlPathOf = (path: string, cwd: string): string =>
  path === "none" || /^[~%$]/.test(path) ? path : resolve(cwd, path);

// `~` and `%` begin what the daemon expands, as ssh does for IdentityFile.
const identityPath = (path: string, cwd: string): string => (/^[~%]/.test(path) ? path : resolve(cwd, path));
