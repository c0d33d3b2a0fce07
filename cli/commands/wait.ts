import { TundError } from "../../shared/errors.ts";
import type { Event, Failure, Forward, Master } from "../../shared/records.ts";
import { type Option, secondsOf, usageError, valuesOf } from "../args.ts";
import type { Command } from "../command.ts";
import { print } from "../print.ts";

const masterStates = ["idle", "connecting", "ready", "waiting", "blocked", "failed", "closed"];
const forwardStates = ["pending", "active", "failed", "closed"];

const until: Option = {
  long: "for",
  value: "STATE",
  takes: [...new Set([...masterStates, ...forwardStates])],
  help: "ready for a host, active for a forward, unless given",
};
const timeout: Option = { long: "timeout", value: "SECONDS", help: "give up after that long (exit code 8)" };

/** Waits until a host or a forward is in a state. */
export const wait: Command = {
  name: "wait",
  summary: "wait until a host is ready, or a forward active",
  usage: "(HOST | ID) [--for STATE] [--timeout SECONDS]",
  options: [until, timeout],
  most: 1,
  takes: ["records"],
  help: `The states of a host are ${masterStates.join(", ")};
those of a forward (by its id or name) ${forwardStates.join(", ")}.
A host that was refused for good, or that needs a person, ends the wait for ready with its exit code.

Examples:
  tunctl wait db
  tunctl wait f7k2 --for failed --timeout 60`,

  async run(invocation) {
    const [word] = invocation.positionals;
    if (word === undefined) throw usageError("wait needs a HOST or an ID (see 'tunctl help wait')");
    const asked = valuesOf(invocation.given, until).at(-1);
    const seconds = secondsOf(invocation.given, timeout, { least: 1, most: 999_999 });
    // Loaded here, since no other verb but events needs it.
    const { hearEvents } = await import("../event-stream.ts");
    const late = seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1000);
    let target: Target | undefined;
    const hear = (event: Event): boolean => {
      target ??= targetOf(event, word, asked);
      const record = recordOf(event, target);
      if (record?.state !== target.state) return record === undefined || hopes(record, target);
      print(invocation, record, () => []);
      return false;
    };
    try {
      await hearEvents(await invocation.daemon(), { hear, ...(late && { signal: late }) });
    } catch (error) {
      if (!late?.aborted) throw error;
      throw new TundError("TIMEOUT", `${word} was not ${target?.state ?? "there"} within ${seconds} s`);
    }
  },
};

interface Target {
  kind: "master" | "forward";
  /** a host's name, or a forward's id */
  key: string;
  state: string;
}

// A host goes before a forward: an id or name that is a host's too is of the user's own making.
function targetOf(event: Event, word: string, asked: string | undefined): Target {
  const { masters = [], forwards = [] } = event.type === "snapshot" ? event : {};
  if (masters.some(({ names }) => names.includes(word)))
    return { kind: "master", key: word, state: stateOf(asked ?? "ready", masterStates) };
  const forward = forwards.find(({ id, name }) => id === word || name === word);
  if (forward === undefined) throw new TundError("NOT_FOUND", `no host and no forward ${word}`);
  return { kind: "forward", key: forward.id, state: stateOf(asked ?? "active", forwardStates) };
}

function stateOf(asked: string, states: readonly string[]): string {
  if (states.includes(asked)) return asked;
  throw usageError(`--for takes one of ${states.join(", ")}: '${asked}'`);
}

/** What the event says of the target, if anything. */
function recordOf(event: Event, { kind, key }: Target): Master | Forward | undefined {
  const masters = event.type === "snapshot" ? event.masters : event.type === "master" ? [event.master] : [];
  const forwards =
    event.type === "snapshot" ? event.forwards : event.type === "forward" ? [event.forward] : [];
  return kind === "master"
    ? masters.find(({ names }) => names.includes(key))
    : forwards.find(({ id }) => id === key);
}

/** Gives true; throws when what is waited for will not come by itself. */
function hopes({ state, failure }: { state: string; failure: Failure | null }, target: Target): boolean {
  if (state === "closed") throw new TundError("NOT_FOUND", `${target.key} was ended meanwhile`);
  const isRefused = target.kind === "master" && (state === "failed" || state === "blocked");
  if (isRefused && target.state === "ready" && failure !== null)
    throw new TundError(failure.code, failure.message);
  return true;
}
