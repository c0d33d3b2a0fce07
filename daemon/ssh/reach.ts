// From a host's configuration to something that carries bytes to it.
import type { Clock } from "../../shared/clock.ts";
import type { Children } from "./children.ts";
import { dial } from "./dial.ts";
import type { Resolver } from "../resolver.ts";
import type { HostConfig } from "./host-config.ts";
import { startProxyCommand } from "./proxy-command.ts";
import type { Wire } from "./wire.ts";

export interface Reaching {
  config: HostConfig;
  /** what there is already, where another master leads to the host */
  wire?: Wire | undefined;
  resolver: Resolver;
  children: Children;
  clock: Clock;
  /** ends it, now or later */
  signal: AbortSignal;
}

/** Dials, or starts the ProxyCommand. @throws TundError HOST_UNREACHABLE, CONNECT_TIMEOUT */
export async function reach({ config, wire, resolver, children, clock, signal }: Reaching): Promise<Wire> {
  const { way, host } = config;
  const env = config.environment?.over(children.env);
  if (way.kind === "command")
    return startProxyCommand({ ...way, host, children, clock, signal, ...(env && { env }) });
  if (wire === undefined) return dial({ config, resolver, clock, signal });
  const abort = () => wire.destroy();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  return wire;
}
