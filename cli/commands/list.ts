import type { Forward } from "../../shared/records.ts";
import { formatBind, formatDestination } from "../../shared/forward-spec.ts";
import type { Command } from "../command.ts";
import { failureText } from "../failure-text.ts";
import { remark } from "../fail.ts";
import { print } from "../print.ts";
import { type Column, table } from "../table.ts";
import { bytesText, retryText } from "../units.ts";

/** Lists forwards. */
export const list: Command = {
  name: "list",
  summary: "every forward, or those of one host",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `One line a forward: its name or id, where it accepts, where its connections go, its state, its
channels (open now, opened in total, failed, and parked: connections that wait for the link), bytes in
and out, when it is tried again, and why it failed last. IN is what came from the network to whoever
connected; OUT is what they sent.

Examples:
  tunctl list
  tunctl list --json db`,

  async run(invocation) {
    const [host] = invocation.positionals;
    const output = await invocation.call("listForwards", {
      querystring: host === undefined ? {} : { host },
    });
    const { forwards } = output;
    if (forwards.length === 0) remark(invocation, "no forwards");
    const columns = columnsAt(invocation.context.now());
    print(invocation, output, () => (forwards.length === 0 ? [] : table(columns, forwards)));
  },
};

const columnsAt = (now: number): readonly Column<Forward>[] => [
  { title: "ID", cell: (forward) => forward.name ?? forward.id },
  { title: "HOST", cell: (forward) => forward.host },
  { title: "KIND", cell: (forward) => forward.kind },
  { title: "BIND", cell: (forward) => bindOf(forward) },
  { title: "DESTINATION", cell: (forward) => formatDestination(forward.destination) },
  { title: "STATE", cell: (forward) => forward.state },
  { title: "OPEN", right: true, cell: ({ channels }) => String(channels.open) },
  { title: "TOTAL", right: true, cell: ({ channels }) => String(channels.total) },
  { title: "FAILED", right: true, cell: ({ channels }) => String(channels.failed) },
  { title: "PARKED", right: true, cell: ({ channels }) => String(channels.parked) },
  { title: "IN", right: true, cell: ({ bytes }) => bytesText(bytes.in) },
  { title: "OUT", right: true, cell: ({ bytes }) => bytesText(bytes.out) },
  { title: "RETRY", right: true, cell: ({ retryAt }) => retryText(retryAt, now) },
  { title: "LAST-FAILURE", cell: (forward) => troubleOf(forward, now) },
];

// Port 0 was asked for; what there is to connect to is the port that the server chose.
const bindOf = ({ bind, allocatedPort }: Forward): string =>
  formatBind("port" in bind && allocatedPort !== null ? { ...bind, port: allocatedPort } : bind);

const troubleOf = ({ failure, warnings }: Forward, now: number): string =>
  [failureText(failure, now), ...warnings.map((warning) => `warning: ${warning}`)]
    .filter((text) => text !== "")
    .join("; ");
