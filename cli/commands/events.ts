import { TundError } from "../../shared/errors.ts";
import type { Event, Forward, Master } from "../../shared/records.ts";
import type { Command, Invocation } from "../command.ts";
import { print, printLine } from "../print.ts";
import { onceUnread } from "../unread.ts";

/** Prints changes as they happen. */
export const events: Command = {
  name: "events",
  summary: "how everything is, then every change as it happens",
  usage: "[HOST]",
  options: [],
  most: 1,
  takes: ["masters"],
  help: `A line for each master and forward as it is now, then one for each change of state or of the reason for
a failure, until it is interrupted. With --json a JSON object a line: {"type":"snapshot",...} first, then
{"type":"master",...} and {"type":"forward",...}, numbered by "seq" without gaps. A reader that is too
slow gets {"type":"overrun",...} as its last line (exit code 1).

Examples:
  tunctl events
  tunctl events --json db | jq -r 'select(.type == "master") | .master.state'`,

  async run(invocation) {
    // Loaded here, since no other verb but wait needs it.
    const { hearEvents } = await import("../event-stream.ts");
    const [host] = invocation.positionals;
    const hear = (event: Event): boolean => {
      show(invocation, event);
      if (event.type !== "overrun") return true;
      throw new TundError("INTERNAL", "this reader was too slow, and has missed events");
    };
    const unread = new AbortController();
    const stop = onceUnread(invocation.context, () => unread.abort());
    try {
      await hearEvents(await invocation.daemon(), { host, hear, signal: unread.signal });
    } catch (error) {
      // As with the next line that is printed: whoever read it (`| head -1`) has seen enough.
      if (!unread.signal.aborted) throw error;
    } finally {
      stop();
    }
  },
};

function show(invocation: Invocation, event: Event): void {
  if (invocation.json) return printLine(invocation, event);
  return print(invocation, event, () => linesOf(event));
}

function linesOf(event: Event): string[] {
  switch (event.type) {
    case "snapshot":
      return [
        ...event.masters.map((master) => masterLine(event.at, master)),
        ...event.forwards.map((forward) => forwardLine(event.at, forward)),
      ];
    case "master":
      return [masterLine(event.at, event.master)];
    case "forward":
      return [forwardLine(event.at, event.forward)];
    case "overrun":
      return [];
  }
}

const masterLine = (at: string, { host, state, failure, retryAt }: Master): string =>
  `${at}  master   ${host}  ${state}${reason(state, failure)}${retryAt === null ? "" : `; retry at ${retryAt}`}`;

const forwardLine = (at: string, { id, name, host, spec, kind, state, failure, retryAt }: Forward): string =>
  `${at}  forward  ${name ?? id}  ${host} ${kind} ${spec}  ${state}${reason(state, failure)}` +
  (retryAt === null ? "" : `; retry at ${retryAt}`);

// A failure that has healed stands in the record, but is no news.
const reason = (state: string, failure: Master["failure"]): string =>
  failure === null || state === "ready" || state === "active" ? "" : `: ${failure.message}`;
