// Which forward a spec or a bind part names. Pure.
import type { CancelRequest } from "../../shared/contract.ts";
import { TundError } from "../../shared/errors.ts";
import {
  type Destination,
  formatBind,
  formatForwardSpec,
  type ForwardPattern,
  type ForwardSpec,
  parseForwardPattern,
} from "../../shared/forward-spec.ts";
import type { SettledBind, SettledSpec } from "../forwards/settled.ts";
import type { ForwardingConfig } from "../ssh/forwarding-config.ts";
import { expandTokens } from "../ssh/tokens.ts";

/** What selection needs to know of a forward. */
export interface Selectable {
  id: string;
  /** what its user calls it */
  name: string | null;
  spec: SettledSpec;
  allocatedPort: number | null;
}

/**
 * Settles a parsed spec for a host. Without a bind address it is loopback; for a listener of ours, the wildcard under
 * GatewayPorts. %-tokens in the paths of Unix sockets are expanded (ssh_config(5), TOKENS).
 * @throws TundError HOST_CONFIG_FAILED for an unknown token
 */
export function settle(
  spec: ForwardSpec,
  { gatewayPorts, tokens }: Pick<ForwardingConfig, "gatewayPorts" | "tokens">,
): SettledSpec {
  const { kind, bind, destination } = spec;
  const unnamed = gatewayPorts && kind !== "remote" ? "*" : "localhost";
  return {
    kind,
    text: formatForwardSpec(spec),
    bind: "path" in bind ? expanded(bind, tokens) : { address: bind.address ?? unnamed, port: bind.port },
    destination: destination !== null && "path" in destination ? expanded(destination, tokens) : destination,
  };
}

const expanded = ({ path }: { path: string }, tokens: ForwardingConfig["tokens"]) => ({
  path: expandTokens(path, tokens),
});

/** A spec of which nothing is known but what its user wrote. */
export const asWritten = (spec: ForwardSpec): SettledSpec => ({
  kind: spec.kind,
  text: formatForwardSpec(spec),
  bind: "path" in spec.bind ? spec.bind : { address: spec.bind.address ?? "localhost", port: spec.bind.port },
  destination: spec.destination,
});

/** Whether two specs ask for the very same forward. */
export const isSame = (a: SettledSpec, b: SettledSpec): boolean =>
  a.kind === b.kind && sameBind(a.bind, b.bind) && sameDestination(a.destination, b.destination);

/** Whether two forwards of one place accept at the same point; port 0 is a new one each time. */
export const collides = (a: SettledSpec, b: SettledSpec): boolean =>
  (a.kind === "remote") === (b.kind === "remote") &&
  sameBind(a.bind, b.bind) &&
  !("port" in a.bind && a.bind.port === 0);

const sameBind = (a: SettledBind, b: SettledBind): boolean =>
  "path" in a
    ? "path" in b && a.path === b.path
    : "port" in b && a.port === b.port && a.address === b.address;

const sameDestination = (a: Destination, b: Destination): boolean => {
  if (a === null || b === null) return a === b;
  if ("path" in a) return "path" in b && a.path === b.path;
  return "host" in b && a.host === b.host && a.port === b.port;
};

/**
 * Finds the forward that a pattern names: its bind part must fit, and its destination if it has one. Without a bind
 * address the one on localhost is meant, or the only one on that port. A forward on port 0 has its allocated port too.
 * @throws TundError NOT_FOUND, or INVALID_REQUEST when several fit
 */
export function select<F extends Selectable>(
  forwards: readonly F[],
  pattern: ForwardPattern,
  host: string,
): F {
  const fits = forwards.filter((forward) => isNamed(forward, pattern));
  const { bind } = pattern;
  const unaddressed = "port" in bind && bind.address === null;
  const onLocalhost = unaddressed
    ? fits.filter(({ spec }) => "port" in spec.bind && spec.bind.address === "localhost")
    : [];
  const [first, ...others] = onLocalhost.length > 0 ? onLocalhost : fits;
  const named = `${pattern.kind} forward ${textOf(pattern)}`;
  if (first === undefined) throw new TundError("NOT_FOUND", `no ${named} on ${host}`);
  if (others.length === 0) return first;
  const ids = [first, ...others].map(({ id, spec }) => `${id} (${spec.text})`).join(", ");
  throw new TundError(
    "INVALID_REQUEST",
    `${named} on ${host} could be any of ${ids}: give its bind address or its id`,
  );
}

function isNamed({ spec, allocatedPort }: Selectable, { kind, bind, destination }: ForwardPattern): boolean {
  if (spec.kind !== kind) return false;
  if (destination !== undefined && !sameDestination(spec.destination, destination)) return false;
  if ("path" in bind) return "path" in spec.bind && spec.bind.path === bind.path;
  if (!("port" in spec.bind)) return false;
  const samePort = spec.bind.port === bind.port || (allocatedPort !== null && allocatedPort === bind.port);
  return samePort && (bind.address === null || bind.address === spec.bind.address);
}

const textOf = ({ bind, destination }: ForwardPattern): string =>
  destination === undefined ? formatBind(bind) : formatForwardSpec({ bind, destination });

/** The forward that has this id or this name. @throws TundError NOT_FOUND */
export function byName<F extends Selectable>(forwards: readonly F[], id: string, host?: string): F {
  const found = forwards.find((forward) => forward.id === id || forward.name === id);
  if (found !== undefined) return found;
  throw new TundError("NOT_FOUND", `no forward ${id}${host === undefined ? "" : ` on ${host}`}`);
}

/**
 * The forwards that a request to cancel names, each once.
 * @param known those of its host, if it names one, or all
 * @throws TundError NOT_FOUND when one is not there, INVALID_REQUEST
 */
export function chosenBy<F extends Selectable>(
  { host, ids = [], forwards = [], all = false }: CancelRequest,
  known: readonly F[],
): F[] {
  if (ids.length === 0 && forwards.length === 0 && !all)
    throw new TundError("INVALID_REQUEST", "nothing to cancel: name forwards, ids, or all");
  if (forwards.length > 0 && host === undefined)
    throw new TundError("INVALID_REQUEST", "host is missing: a spec names a forward of one host");
  const chosen = new Set(all ? known : []);
  for (const id of ids) chosen.add(byName(known, id, host));
  for (const { kind, spec } of forwards)
    chosen.add(select(known, parseForwardPattern(kind, spec), host ?? ""));
  return [...chosen];
}
