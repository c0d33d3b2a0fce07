import type { Master, Status } from "../../shared/records.ts";
import { TundError } from "../../shared/errors.ts";
import type { Command } from "../command.ts";
import { failureText } from "../failure-text.ts";
import { print } from "../print.ts";
import { type Column, table } from "../table.ts";
import { retryText, roundTripText, spanText } from "../units.ts";

/** Shows the daemon and its masters. */
export const status: Command = {
  name: "status",
  summary: "the daemon and its masters",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `A line for the daemon, one each for lines of its log that were lost and for connections that were
refused for want of descriptors, if any were, then one for each master: its state and since when, the
server's software and address, the hosts that lead there, how keys were exchanged (with a ! where that
is not post-quantum, unless WarnWeakCrypto of ssh_config says not to tell), the last round trip,
reconnects, forwards, open channels, when it is retried, and why it failed last.

Examples:
  tunctl status
  tunctl status --json db`,

  async run(invocation) {
    const [host] = invocation.positionals;
    const everything = await invocation.call("getStatus", {});
    const shown = host === undefined ? everything : narrowed(everything, host);
    const { daemon, masters } = shown;
    const now = invocation.context.now();
    print(invocation, shown, () => [
      daemonLine(daemon, now),
      ...troubleLines(daemon),
      ...(masters.length === 0 ? [] : table(columnsAt(now), masters)),
    ]);
  },
};

function narrowed({ daemon, masters }: Status, host: string): Status {
  const named = masters.filter((master) => master.names.includes(host));
  if (named.length === 0) throw new TundError("NOT_FOUND", `no master for ${host}`);
  return { daemon, masters: named };
}

function daemonLine(daemon: Status["daemon"], now: number): string {
  const { version, pid, since, socket, node, nativeCrypto } = daemon;
  const crypto = nativeCrypto ? "" : ", without compiled ciphers";
  return `tund ${version} running (pid=${pid}) for ${spanText(now - Date.parse(since))} on ${socket}, Node ${node}${crypto}`;
}

// A daemon that has not been restarted since tunctl was renewed may not know of them.
function troubleLines(daemon: Partial<Status["daemon"]>): string[] {
  const { lost, failure } = daemon.log ?? { lost: 0, failure: null };
  const { limit, refused } = daemon.descriptors ?? { limit: null, refused: 0 };
  const why = failure === null ? "" : `; it cannot be written now: ${failure}`;
  return [
    ...(lost === 0 && failure === null ? [] : [`log: ${lost} lines lost${why}`]),
    ...(refused === 0
      ? []
      : [`descriptors: ${refused} connections refused, for there may be ${limit} (ulimit -n, LimitNOFILE)`]),
  ];
}

// A daemon that has not been restarted since tunctl was renewed does not tell it.
function kexText({ keyExchange }: Partial<Pick<Master, "keyExchange">>): string {
  if (!keyExchange) return "";
  return keyExchange.warned ? `${keyExchange.algorithm}!` : keyExchange.algorithm;
}

const columnsAt = (now: number): readonly Column<Master>[] => [
  { title: "HOST", cell: (master) => master.host },
  { title: "STATE", cell: (master) => master.state },
  { title: "SINCE", right: true, cell: (master) => spanText(now - Date.parse(master.since)) },
  { title: "SERVER", cell: (master) => master.server ?? "" },
  { title: "ADDRESS", cell: (master) => master.address ?? "" },
  { title: "VIA", cell: (master) => master.via.join(" ") },
  { title: "KEX", cell: kexText },
  {
    title: "RTT",
    right: true,
    cell: ({ roundTripMs }) => (roundTripMs === null ? "" : roundTripText(roundTripMs)),
  },
  { title: "RECONNECTS", right: true, cell: (master) => String(master.reconnects) },
  { title: "FORWARDS", right: true, cell: (master) => String(master.forwards) },
  { title: "CHANNELS", right: true, cell: (master) => String(master.channels) },
  {
    title: "RETRY",
    right: true,
    cell: ({ retryAt }) => retryText(retryAt, now),
  },
  { title: "LAST-FAILURE", cell: (master) => failureText(master.failure, now) },
];
