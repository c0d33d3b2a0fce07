import type { Check } from "../../shared/records.ts";
import type { Command } from "../command.ts";
import { hostOrOnly } from "../host.ts";
import { print } from "../print.ts";
import { roundTripText } from "../units.ts";

/** Probes a master's link. */
export const check: Command = {
  name: "check",
  summary: "probe a host's link, not only the process",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `Asks the server for a sign of life and waits for it, up to a deadline. With -v it says how long that took.

Examples:
  tunctl check db
  tunctl check -v db`,

  async run(invocation) {
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    const found = await invocation.call("checkMaster", { params: { host } });
    const more = invocation.verbose ? `, ${roundTrip(found)}` : "";
    print(invocation, found, () => [`Master running (pid=${found.pid})${more}`]);
  },
};

const roundTrip = ({ roundTripMs }: Check): string =>
  roundTripMs === null
    ? "round trip not measured: the server answers no request"
    : `round trip ${roundTripText(roundTripMs)}`;
