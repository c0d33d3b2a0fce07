import type { Command } from "../command.ts";
import { hostOrOnly } from "../host.ts";
import { confirm } from "../print.ts";

/** Ends a master once its last channel has ended. */
export const stop: Command = {
  name: "stop",
  summary: "cancel a host's forwards; end when its last channel has",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `Cancels and forgets all forwards of the host and takes no new ones. Established channels live on, and the
master ends with the last of them.

Example:
  tunctl stop db`,

  async run(invocation) {
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    const master = await invocation.call("stopMaster", { params: { host } });
    confirm(invocation, master, () => [`stopping ${master.host}`]);
  },
};
