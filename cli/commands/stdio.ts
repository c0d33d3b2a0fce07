import { formatDestination, parseStdioDestination } from "../../shared/forward-spec.ts";
import { usageError } from "../args.ts";
import { withCaller } from "../caller.ts";
import type { Command } from "../command.ts";
import { connectionOf, connectionOptions } from "../connection-options.ts";
import { hostOrOnly } from "../host.ts";
import { servicePorts } from "../services.ts";

/** Joins stdin and stdout to a channel, as ssh -W does. */
export const stdio: Command = {
  name: "stdio",
  summary: "join stdin and stdout to a channel: a ProxyCommand",
  usage: "DEST [options] [HOST]",
  options: connectionOptions,
  most: 2,
  takes: [[], "hosts"],
  help: `Also in ssh's own spelling: tunctl -W DEST [options] [HOST]. DEST is host:port, [v6]:port or the path of a
Unix socket, as the server sees it. The end of stdin is passed on, and what comes back is still
printed. Exits when the channel is closed, though stdin be open: 0 in order, 1 if it broke. A stdout
that nobody reads any more ends it with 0.

Examples:
  ssh -o ProxyCommand='tunctl stdio %h:%p bastion' inner
  tunctl -W /run/docker.sock box`,

  async run(invocation) {
    const { context, positionals } = invocation;
    const [text, named] = positionals;
    if (text === undefined)
      throw usageError("stdio needs a DEST: host:port or a path (see 'tunctl help stdio')");
    const destination = formatDestination(parseStdioDestination(text, servicePorts(context.readServices)));
    const connection = connectionOf(invocation);
    const host = await hostOrOnly(invocation, named);
    const body = { host, destination, ...(connection === undefined ? {} : { connection }) };
    const { ticket } = await withCaller(invocation, (asked) =>
      invocation.call("openStdio", { body: { ...body, ...asked } }),
    );
    // Loaded here, since no other verb needs it.
    const { joinStdio } = await import("../join-stdio.ts");
    await joinStdio(context, await invocation.daemon(), ticket);
  },
};
