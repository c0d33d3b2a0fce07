import { formatDestination, parseStdioDestination } from "../../shared/forward-spec.ts";
import { type Option, usageError, valuesOf } from "../args.ts";
import type { Command, Invocation } from "../command.ts";
import { connectionOf, connectionOptions } from "../connection-options.ts";
import { hostOrOnly } from "../host.ts";
import { servicePorts } from "../services.ts";

const toward: Option = { short: "W", value: "DEST", help: "DEST in ssh's own spelling" };

/** Joins stdin and stdout to a channel, as ssh -W does. */
export const stdio: Command = {
  name: "stdio",
  summary: "join stdin and stdout to a channel: a ProxyCommand",
  usage: "DEST [options] [HOST]",
  options: [toward, ...connectionOptions],
  most: 2,
  help: `Also in ssh's own spelling: tunctl -W DEST HOST. DEST is host:port, [v6]:port or the path of a Unix
socket, as the server sees it. Ends when the channel does: 0 when it was closed in order.

Examples:
  ssh -o ProxyCommand='tunctl stdio %h:%p bastion' inner
  tunctl -W /run/docker.sock box`,

  async run(invocation) {
    const { destination, host: named } = wanted(invocation);
    const parsed = parseStdioDestination(destination, servicePorts(invocation.context.readServices));
    const connection = connectionOf(invocation);
    const host = await hostOrOnly(invocation, named);
    const body = {
      host,
      destination: formatDestination(parsed),
      ...(connection === undefined ? {} : { connection }),
    };
    const { ticket } = await invocation.call("openStdio", { body });
    // Loaded here, since no other verb needs it.
    const { joinStdio } = await import("../join-stdio.ts");
    await joinStdio(invocation.context, invocation.socketPath(), ticket);
  },
};

function wanted(invocation: Invocation): { destination: string; host: string | undefined } {
  const { given, positionals } = invocation;
  const flag = valuesOf(given, toward).at(-1);
  const [first, second] = positionals;
  if (flag === undefined) {
    if (first === undefined)
      throw usageError("stdio needs a DEST: host:port or a path (see 'tunctl help stdio')");
    return { destination: first, host: second };
  }
  if (second !== undefined) throw usageError(`unexpected argument '${second}' (see 'tunctl help stdio')`);
  return { destination: flag, host: first };
}
