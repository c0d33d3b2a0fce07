// What `ssh -O conninfo` and `ssh -O channels` print (OpenSSH 10.3 and later): its text, and our forwards below it.
import { formatForwardSpec } from "../../shared/forward-spec.ts";
import type { ConnectionFigures, Traffic } from "../masters/figures.ts";

const lines = (...all: readonly string[]): string => all.map((line) => `${line}\r\n`).join("");

/** As OpenSSH 10.6 writes it, but for what is not known here. */
export function connectionText(figures: ConnectionFigures): string {
  const { pid, localhost, local, remote, seconds, algorithms, bytes } = figures;
  return lines(
    `Connection information for ${localhost} pid ${pid}`,
    ...(local === null ? [] : [`  tcp ${local} -> ${remote}`]),
    `  duration ${duration(seconds)}`,
    `  kexalgorithm ${algorithms.kex}`,
    `  hostkeyalgorithm ${algorithms.hostKey}`,
    `  cipher ${bothWays(algorithms.cipher)}`,
    `  mac ${bothWays(algorithms.mac) || "<implicit>"}`,
    `  compression ${bothWays(algorithms.compression)}`,
    `  traffic ${bytes.in} bytes in, ${bytes.out} bytes out`,
  );
}

const two = (count: number): string => String(Math.floor(count)).padStart(2, "0");

// As OpenSSH's fmt_timeframe() has it.
function duration(seconds: number): string {
  const [minutes, hours, days] = [seconds / 60, seconds / 3600, Math.floor(seconds / 86_400)];
  if (days >= 7) return `${two(days / 7)}w${days % 7}d${two(hours % 24)}h`;
  if (days > 0) return `${days}d${two(hours % 24)}h${two(minutes % 60)}m`;
  return [hours, minutes % 60, seconds % 60].map(two).join(":");
}

const bothWays = ({ in: one, out: other }: { in: string; out: string }): string =>
  one === other ? one : `${one} in, ${other} out`;

/** Open connections first, as channels.c lists them; then what ssh cannot list, the forwards themselves. */
export function channelsText({ forwards }: Traffic): string {
  const open = forwards.flatMap(({ forward, originators }) =>
    originators.map(({ address, port }) => {
      const { kind, bind, destination } = forward;
      const type = kind === "remote" ? "forwarded" : "direct";
      const ending = destination !== null && "path" in destination ? "streamlocal@openssh.com" : "tcpip";
      const where = "path" in bind ? `path ${bind.path}` : `port ${forward.allocatedPort ?? bind.port}`;
      const toward = destination === null ? "socks" : formatForwardSpec({ bind, destination });
      return `${type}-${ending}: listening ${where} for ${toward}, connect from ${address} port ${port}`;
    }),
  );
  return lines(
    "The following connections are open:",
    ...open.map((line, index) => `  #${index} ${line}`),
    "The following forwards are set up:",
    ...forwards.map(({ forward: { id, kind, spec, state, failure, channels } }) => {
      const why = state === "failed" && failure !== null ? `: ${failure.message}` : "";
      return `  ${id} ${kind} ${spec} ${state}${why} (${channels.open} open, ${channels.total} in all)`;
    }),
  );
}
