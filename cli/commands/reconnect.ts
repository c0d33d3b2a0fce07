import type { Command } from "../command.ts";
import { hostOrOnly } from "../host.ts";
import { confirm } from "../print.ts";

/** Drops a host's link and dials now. */
export const reconnect: Command = {
  name: "reconnect",
  summary: "drop a host's link and dial now, without waiting for the backoff",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `Returns when the master is ready again, by what ssh_config says now; its forwards come back with it.
Established channels end. This is also what makes a master go on that was refused for good.

Examples:
  tunctl reconnect db`,

  async run(invocation) {
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    const master = await invocation.call("reconnectMaster", { params: { host } });
    confirm(invocation, master, () => [`reconnected to ${master.host}`]);
  },
};
