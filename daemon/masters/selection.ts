// Which forward a spec or a bind part names. Pure.
import { TundError } from "../../shared/errors.ts";
import {
  formatBind,
  formatForwardSpec,
  type ForwardPattern,
  type ForwardSpec,
} from "../../shared/forward-spec.ts";
import type { LocalForward, TcpDestination } from "../forwards/local.ts";
import type { TcpBind } from "../forwards/tcp-listener.ts";

/** What a local forward is made of, once its bind address is settled. */
export interface LocalSpec {
  /** as its user wrote it, in ssh's spelling */
  spec: string;
  bind: TcpBind;
  destination: TcpDestination;
}

/**
 * Settles a parsed spec: without a bind address it is loopback, or the wildcard under GatewayPorts (ssh_config(5)).
 * @throws TundError UNSUPPORTED for the kinds and ends that are not built yet
 */
export function settle(spec: ForwardSpec, gatewayPorts: boolean): LocalSpec {
  const { kind, bind, destination } = spec;
  const text = formatForwardSpec(spec);
  if (kind !== "local" || destination === null)
    throw new TundError("UNSUPPORTED", `${kind} forwards are not supported yet: '${text}'`);
  if ("path" in bind)
    throw new TundError("UNSUPPORTED", `listening on a Unix socket is not supported yet: '${bind.path}'`);
  const address = bind.address ?? (gatewayPorts ? "*" : "localhost");
  return { spec: text, bind: { address, port: bind.port }, destination };
}

/** Whether a forward is the very one that a spec asks for. */
export const isSame = (forward: LocalForward, spec: LocalSpec): boolean =>
  sameBind(forward, spec) && sameDestination(forward.destination, spec.destination);

/** Whether two forwards accept at the same point. */
export const sameBind = (a: Pick<LocalForward, "bind">, b: Pick<LocalForward, "bind">): boolean =>
  a.bind.port === b.bind.port && a.bind.address === b.bind.address;

const sameDestination = (a: TcpDestination, b: TcpDestination): boolean =>
  "path" in a ? "path" in b && a.path === b.path : "host" in b && a.host === b.host && a.port === b.port;

/**
 * Finds the forward that a pattern names: its bind part must fit, and its destination if it has one. Without a bind
 * address the one on localhost is meant, or the only one on that port.
 * @throws TundError NOT_FOUND, or INVALID_REQUEST when several fit
 */
export function select(
  forwards: readonly LocalForward[],
  pattern: ForwardPattern,
  host: string,
): LocalForward {
  const { bind, destination } = pattern;
  const fits = forwards.filter(
    (forward) =>
      pattern.kind === "local" &&
      "port" in bind &&
      forward.bind.port === bind.port &&
      (bind.address === null || forward.bind.address === bind.address) &&
      (destination === undefined ||
        (destination !== null && sameDestination(forward.destination, destination))),
  );
  const unaddressed = "port" in bind && bind.address === null;
  const onLocalhost = unaddressed ? fits.filter((forward) => forward.bind.address === "localhost") : [];
  const [first, ...others] = onLocalhost.length > 0 ? onLocalhost : fits;
  const named = `${pattern.kind} forward ${textOf(pattern)}`;
  if (first === undefined) throw new TundError("NOT_FOUND", `no ${named} on ${host}`);
  if (others.length === 0) return first;
  const ids = [first, ...others].map(({ id, spec }) => `${id} (${spec})`).join(", ");
  throw new TundError(
    "INVALID_REQUEST",
    `${named} on ${host} could be any of ${ids}: give its bind address or its id`,
  );
}

const textOf = ({ bind, destination }: ForwardPattern): string =>
  destination === undefined ? formatBind(bind) : formatForwardSpec({ bind, destination });
