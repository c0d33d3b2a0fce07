// From a host's configuration to something that carries bytes to it.
import type { Clock } from "../../shared/clock.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import type { Children } from "./children.ts";
import { dial } from "./dial.ts";
import type { Visit } from "./doors.ts";
import type { Resolver } from "../resolver.ts";
import type { HostConfig } from "./host-config.ts";
import { startProxyCommand } from "./proxy-command.ts";
import type { Way } from "./way.ts";
import type { Wire } from "./wire.ts";

export interface Reaching {
  config: HostConfig;
  /** what there is already, where another master leads to the host */
  wire?: Wire | undefined;
  /** after so many milliseconds an address counts as silent, where ConnectTimeout is not set and nobody waits */
  silentMs?: number | undefined;
  /** says whose turn it is at the server, if this is to become a login */
  visit?: Visit | undefined;
  resolver: Resolver;
  children: Children;
  clock: Clock;
  /** ends it, now or later */
  signal: AbortSignal;
}

/** Dials, or starts the ProxyCommand. @throws TundError HOST_UNREACHABLE, CONNECT_TIMEOUT */
export async function reach(reaching: Reaching): Promise<Wire> {
  const { config, wire, visit, children, clock, signal } = reaching;
  const { way, host } = config;
  // Where others reach it for us its address is theirs to know.
  if (way.kind !== "direct")
    await visit?.at(`${formatAddress(config.hostname, config.port)} by way of ${wayName(way)}`);
  const env = config.environment?.over(children.env);
  if (way.kind === "command")
    return startProxyCommand({ ...way, host, children, clock, signal, ...(env && { env }) });
  if (wire === undefined) return dial(reaching);
  const abort = () => wire.destroy();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  return wire;
}

const wayName = (way: Exclude<Way, { kind: "direct" }>): string =>
  way.kind === "jump" ? way.hop.name : "a ProxyCommand";
