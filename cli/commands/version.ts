import { TundError } from "../../shared/errors.ts";
import { version as own } from "../../shared/version.ts";
import type { Command, Invocation } from "../command.ts";
import { print } from "../print.ts";

/** Tells the version of tunctl, and of the daemon where that is wanted. */
export const version: Command = {
  name: "version",
  summary: "the version of tunctl; with -v or --json, of the daemon too",
  usage: "",
  options: [],
  most: 0,
  help: `Examples:
  tunctl version
  tunctl version --json`,

  async run(invocation) {
    const { json, verbose } = invocation;
    const lines = [`tunctl ${own}`];
    if (!json && !verbose) return print(invocation, own, () => lines);
    const tund = await daemonVersion(invocation);
    lines.push(tund === null ? "tund is not reachable" : `tund ${tund}`);
    return print(invocation, { tunctl: own, tund }, () => lines);
  },
};

async function daemonVersion(invocation: Invocation): Promise<string | null> {
  try {
    const { daemon } = await invocation.call("getStatus", {});
    return daemon.version;
  } catch (error) {
    if (error instanceof TundError && error.code === "DAEMON_UNREACHABLE") return null;
    throw error;
  }
}
