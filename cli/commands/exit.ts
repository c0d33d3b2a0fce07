import type { Command } from "../command.ts";
import { hostOrOnly } from "../host.ts";
import { confirm } from "../print.ts";

/** Ends a master at once. */
export const exit: Command = {
  name: "exit",
  summary: "end a host's master at once, with all its forwards",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `Cancels and forgets all forwards of the host, and ends its channels and its master now.

Example:
  tunctl exit db`,

  async run(invocation) {
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    const master = await invocation.call("exitMaster", { params: { host } });
    confirm(invocation, master, () => [`ended ${master.host}`]);
  },
};
