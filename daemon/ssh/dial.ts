// The TCP connection below a master: ours, so that it can be destroyed, watched and tuned whatever ssh2 does.
import { isIP, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { Clock } from "../../shared/clock.ts";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import { NoAnswerError, type Resolver } from "../resolver.ts";
import type { HostConfig } from "./host-config.ts";
import type { Visit } from "./doors.ts";
import { MasterSocket } from "./master-socket.ts";

const BETWEEN_ATTEMPTS_MS = 1000; // sshconnect.c

/**
 * Connects to a host: every address that its name has, in the resolver's order, as ssh does, each within ConnectTimeout;
 * all of it ConnectionAttempts times. The socket has a permanent 'error' listener; `signal` destroys it, now or later.
 * The name, too, has to be resolved within ConnectTimeout. Each address is visited, if this is to become a login.
 * @throws TundError HOST_UNREACHABLE, or CONNECT_TIMEOUT when the resolver or the last address did not answer in time; HeldBack
 */
export async function dial({
  resolver,
  ...attempt
}: Attempt & { resolver: Resolver }): Promise<MasterSocket> {
  const { config, clock, signal } = attempt;
  let failure = new TundError("HOST_UNREACHABLE", `${config.hostname} has no address`);
  const addresses = await resolve(config, resolver, signal);
  for (let tries = 0; tries < config.connectionAttempts && !signal.aborted; tries++) {
    if (tries > 0) await new Promise<void>((go) => void clock.after(BETWEEN_ATTEMPTS_MS, go));
    for (const address of addresses) {
      try {
        await attempt.visit?.at(formatAddress(address, config.port));
        return await dialAddress(address, attempt);
      } catch (error) {
        failure = error as TundError;
      }
    }
  }
  throw failure;
}

async function resolve(
  { hostname, family, connectTimeoutMs: deadlineMs }: HostConfig,
  resolver: Resolver,
  signal: AbortSignal,
): Promise<string[]> {
  // lookup() gives a numeric address back whatever family is asked for.
  if (family !== 0 && isIP(hostname) !== 0 && isIP(hostname) !== family)
    throw new TundError(
      "HOST_UNREACHABLE",
      `cannot resolve ${hostname}: AddressFamily is inet${family === 6 ? "6" : ""}`,
    );
  try {
    const found = await resolver.lookup(hostname, { family, deadlineMs, signal, owner: signal });
    return found.map(({ address }) => address);
  } catch (error) {
    const code = error instanceof NoAnswerError ? "CONNECT_TIMEOUT" : "HOST_UNREACHABLE";
    const why = errnoOf(error) === "ENOTFOUND" ? "no such name" : messageOf(error);
    throw new TundError(code, `cannot resolve ${hostname}: ${why}`, { cause: error });
  }
}

interface Attempt {
  config: HostConfig;
  /** after so many milliseconds an address counts as silent, where ConnectTimeout is not set and nobody waits */
  silentMs?: number | undefined;
  /** says whose turn it is at each address */
  visit?: Visit | undefined;
  clock: Clock;
  signal: AbortSignal;
}

function connectLimitMs({ config, silentMs = Infinity, visit }: Attempt): number {
  const isHasty = !config.isConnectTimeoutSet && visit?.isAwaited === false;
  return isHasty ? Math.min(silentMs, config.connectTimeoutMs) : config.connectTimeoutMs;
}

function dialAddress(address: string, attempt: Attempt): Promise<MasterSocket> {
  const { config, clock, signal } = attempt;
  const { hostname, port, tcpKeepAlive } = config;
  const connectTimeoutMs = connectLimitMs(attempt);
  const localAddress = boundAddress(address, config);
  const numeric = formatAddress(address, port);
  const where = address === hostname ? numeric : `${hostname} (${numeric})`;
  const began = clock.monotonic();
  return new Promise((connected, failed) => {
    const socket = new MasterSocket({ signal, noDelay: true, keepAlive: tcpKeepAlive, dialled: address });
    socket.connect({ host: address, port, ...(localAddress === undefined ? {} : { localAddress }) });
    const timer = clock.after(connectTimeoutMs, () => {
      socket.destroy();
      failed(new TundError("CONNECT_TIMEOUT", `${where} did not answer within ${connectTimeoutMs / 1000} s`));
    });
    socket.on("error", (error) => {
      timer.cancel();
      const why = reasons.get(errnoOf(error) ?? "") ?? error.message;
      failed(new TundError("HOST_UNREACHABLE", `cannot reach ${where}: ${why}`, { cause: error }));
    });
    socket.once("connect", () => {
      timer.cancel();
      socket.tookMs = clock.monotonic() - began;
      connected(socket);
    });
  });
}

// Of an interface, its first address of the family that is dialled (sshconnect.c).
function boundAddress(to: string, { bindAddress, bindInterface }: HostConfig): string | undefined {
  if (bindAddress !== null) return bindAddress;
  if (bindInterface === null) return undefined;
  const family = isIPv6(to) ? "IPv6" : "IPv4";
  const found = new Map(Object.entries(networkInterfaces()))
    .get(bindInterface)
    ?.find((one) => one.family === family);
  if (found !== undefined) return found.address;
  throw new TundError("HOST_UNREACHABLE", `BindInterface ${bindInterface} has no ${family} address here`);
}

const reasons: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "connection refused"],
  ["EHOSTUNREACH", "no route to host"],
  ["ENETUNREACH", "network is unreachable"],
  ["ETIMEDOUT", "connection timed out"],
  ["ECONNRESET", "connection reset by peer"],
  ["EADDRNOTAVAIL", "cannot assign requested address"],
]);
