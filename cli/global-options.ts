// What every verb takes, before it or after.
import type { Option } from "./args.ts";

export const socket: Option = {
  long: "socket",
  value: "PATH",
  takes: "files",
  help: "the daemon's control socket (default: TUND_SOCKET, else where tund puts it)",
};
export const wait: Option = {
  long: "wait",
  value: "SECONDS",
  help: "wait for the daemon to answer, that long at most (exit code 3)",
};
export const json: Option = { long: "json", help: "print JSON" };
export const quiet: Option = { short: "q", long: "quiet", help: "no warnings" };
export const verbose: Option = { short: "v", long: "verbose", help: "say more" };
export const help: Option = { short: "h", long: "help", help: "help on tunctl or on the verb" };

/** Stands before any verb, or in its place. */
export const version: Option = { short: "V", long: "version", help: "the version of tunctl" };

export const globalOptions: readonly Option[] = [socket, wait, json, quiet, verbose, help];
