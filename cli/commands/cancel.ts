import type { CancelRequest } from "../../shared/contract.ts";
import { has, type Option, secondsOf, usageError } from "../args.ts";
import type { Command, Invocation } from "../command.ts";
import { warn } from "../fail.ts";
import { forwardOptions, patternsOf } from "../forward-options.ts";
import { hostOrOnly } from "../host.ts";
import { confirm } from "../print.ts";

const all: Option = { long: "all", help: "every forward, or every one of HOST" };
const drain: Option = { long: "drain", value: "SECONDS", help: "end established channels after that long" };
const close: Option = { long: "close", help: "end established channels now" };
const MAX_DRAIN = 86_400;

/** Cancels forwards. */
export const cancel: Command = {
  name: "cancel",
  summary: "cancel forwards; established channels live on",
  usage: "((-L SPEC | -R SPEC | -D SPEC | ID)... [HOST] | --all [HOST])",
  options: [...forwardOptions, all, drain, close],
  most: Infinity,
  takes: ["records"],
  namesStanding: true,
  help: `SPEC is the whole spec or its bind part alone, ID a forward's id or its name. With -L, -R or -D the
last argument is HOST; without, it is HOST only if a master has that name, and no forward has it as its id.

Examples:
  tunctl cancel -L 8080 db
  tunctl cancel -L 127.0.0.1:8080 -L 8443:intranet:443 box
  tunctl cancel f7k2 q3d9
  tunctl cancel --drain 30 --all db`,

  async run(invocation) {
    const patience = drainOf(invocation);
    const body = { ...(await requestOf(invocation)), ...patience };
    const cancelled = await invocation.call("cancelForwards", { body });
    confirm(invocation, cancelled, () =>
      cancelled.forwards.map(({ id, spec }) => `cancelled ${id}  ${spec}`),
    );
    for (const { spec, warnings } of cancelled.forwards)
      for (const warning of warnings) warn(invocation, `${spec}: ${warning}`);
  },
};

function drainOf({ given }: Invocation): Pick<CancelRequest, "drainSeconds"> {
  const drainSeconds = secondsOf(given, drain, { least: 0, most: MAX_DRAIN });
  if (!has(given, close)) return drainSeconds === undefined ? {} : { drainSeconds };
  if (drainSeconds !== undefined) throw usageError("--drain and --close exclude each other");
  return { drainSeconds: 0 };
}

async function requestOf(invocation: Invocation): Promise<CancelRequest> {
  const { given, positionals } = invocation;
  const forwards = patternsOf(invocation);
  const last = positionals.at(-1);
  if (has(given, all)) {
    if (forwards.length > 0 || positionals.length > 1)
      throw usageError("cancel --all takes a HOST and nothing else");
    return last === undefined ? { all: true } : { all: true, host: last };
  }
  if (forwards.length > 0) {
    const host = await hostOrOnly(invocation, last);
    return { host, forwards, ...idsOf(positionals.slice(0, -1)) };
  }
  if (last === undefined) throw usageError("cancel needs an ID, or -L, -R or -D SPEC, or --all");
  if (positionals.length > 1 && (await isHostAlone(invocation, last)))
    return { host: last, ...idsOf(positionals.slice(0, -1)) };
  return idsOf(positionals);
}

const idsOf = (ids: readonly string[]): CancelRequest => (ids.length === 0 ? {} : { ids: [...ids] });

async function isHostAlone(invocation: Invocation, word: string): Promise<boolean> {
  const { masters } = await invocation.call("listMasters", {});
  if (!masters.some(({ names }) => names.includes(word))) return false;
  const { forwards } = await invocation.call("listForwards", { querystring: {} });
  return !forwards.some(({ id, name }) => id === word || name === word);
}
