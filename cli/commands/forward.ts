import { has, type Option, usageError } from "../args.ts";
import type { Command } from "../command.ts";
import { connectionOf, connectionOptions } from "../connection-options.ts";
import { warn } from "../fail.ts";
import { forwardOptions, specsOf } from "../forward-options.ts";
import { hostOrOnly } from "../host.ts";
import { confirm, print } from "../print.ts";

const gatewayPorts: Option = { short: "g", help: "a bind without an address accepts from everywhere" };

/** Sets forwards up, all of them or none. */
export const forward: Command = {
  name: "forward",
  summary: "set forwards up, connecting the host if it is not",
  usage: "(-L SPEC | -R SPEC | -D SPEC)... [options] [HOST]",
  options: [...forwardOptions, gatewayPorts, ...connectionOptions],
  most: 1,
  help: `SPEC of -L and -R:  [bind_address:]port:host:hostport    /path:host:hostport
                    [bind_address:]port:/path            /path:/path
SPEC of -R alone:   [bind_address:]port                  SOCKS on the server
SPEC of -D:         [bind_address:]port                  /path

Returns when all of them are active. If one cannot be, none of this command's is left.
A forward that stands already is a success. For each -R 0:... the port that the server chose is
printed, alone on a line, and nothing else is. \${NAME} in a SPEC comes from the environment, and a
service's name may stand for a port.

Examples:
  tunctl forward -L 5432:localhost:5432 db
  tunctl forward -L 8080:intranet:80 -D 1080 alice@bastion
  tunctl forward -R 8022:localhost:22 -R 0:localhost:3000 box
  tunctl forward -p 2222 -L 127.0.0.1:6379:/run/redis/redis.sock box`,

  async run(invocation) {
    const forwards = specsOf(invocation);
    if (forwards.length === 0) throw usageError("forward needs at least one -L, -R or -D SPEC");
    const connection = connectionOf(invocation);
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    const body = {
      host,
      forwards,
      ...(connection === undefined ? {} : { connection }),
      ...(has(invocation.given, gatewayPorts) ? { gatewayPorts: true } : {}),
    };
    const opened = await invocation.call("openForwards", { body });
    for (const { spec, warnings } of opened.forwards)
      for (const warning of warnings) warn(invocation, `${spec}: ${warning}`);
    const ports = opened.forwards.flatMap(({ allocatedPort }) => allocatedPort ?? []);
    // A script reads them, so nothing else may stand beside them.
    if (ports.length > 0) return print(invocation, opened, () => ports.map(String));
    return confirm(invocation, opened, () => opened.forwards.map(({ id, spec }) => `${id}  ${spec}`));
  },
};
