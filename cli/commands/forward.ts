import { type Given, has, type Option, secondsOf, usageError, valuesOf } from "../args.ts";
import type { OpenRequest } from "../../shared/contract.ts";
import { remember, withCaller } from "../caller.ts";
import type { Command } from "../command.ts";
import { connectionOf, connectionOptions } from "../connection-options.ts";
import { warn } from "../fail.ts";
import { forwardOptions, gateway, specsOf } from "../forward-options.ts";
import { hostOrOnly } from "../host.ts";
import { confirm, print } from "../print.ts";

const ephemeral: Option = { long: "ephemeral", help: "forget them when the daemon ends" };
const noWait: Option = { long: "no-wait", help: "record them and return; the daemon keeps trying" };
const timeout: Option = {
  long: "timeout",
  value: "SECONDS",
  help: "give up, and leave none, after that long",
};
const name: Option = { long: "name", value: "NAME", help: "what to call the forward instead of its id" };
const onDemand: Option = { long: "on-demand", help: "connect the host when the first connection comes" };
const idle: Option = {
  long: "idle",
  value: "SECONDS",
  help: "with --on-demand: disconnect after that long without channels",
};

/** Sets forwards up, all of them or none. */
export const forward: Command = {
  name: "forward",
  summary: "set forwards up, connecting the host if it is not",
  usage: "(-L SPEC | -R SPEC | -D SPEC)... [options] [HOST]",
  options: [
    ...forwardOptions,
    gateway,
    name,
    ephemeral,
    noWait,
    timeout,
    onDemand,
    idle,
    ...connectionOptions,
    remember,
  ],
  most: 1,
  takes: ["hosts"],
  help: `SPEC is one of these:

  -L, -R  [bind_address:]port:host:hostport  /path:host:hostport
          [bind_address:]port:/path          /path:/path
  -R      [bind_address:]port                for SOCKS on the server
  -D      [bind_address:]port                /path

Returns when all of them are active. If one cannot be, none of this command's is left.
They are kept: when the link is lost they come back with it, and when tund is restarted, with tund.
A forward that stands already is a success. For each -R 0:... the port that the server chose is
printed, alone on a line, and nothing else is. \${NAME} in a SPEC comes from the environment, and a
service's name may stand for a port.

Examples:
  tunctl forward -L 5432:localhost:5432 db
  tunctl forward -L 8080:intranet:80 -D 1080 alice@bastion
  tunctl forward -R 8022:localhost:22 -R 0:localhost:3000 box
  tunctl forward --name web --on-demand --idle 300 -L 8080:intranet:80 bastion
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
      ...wishesOf(invocation.given),
    };
    const opened = await withCaller(invocation, (asked) =>
      invocation.call("openForwards", { body: { ...body, ...asked } }),
    );
    for (const { spec, warnings } of opened.forwards)
      for (const warning of warnings) warn(invocation, `${spec}: ${warning}`);
    const ports = opened.forwards.flatMap(({ allocatedPort }) => allocatedPort ?? []);
    // A script reads them, so nothing else may stand beside them.
    if (ports.length > 0) return print(invocation, opened, () => ports.map(String));
    return confirm(invocation, opened, () => opened.forwards.map(({ id, spec }) => `${id}  ${spec}`));
  },
};

function wishesOf(given: readonly Given[]): Partial<OpenRequest> {
  const called = valuesOf(given, name).at(-1);
  const timeoutSeconds = secondsOf(given, timeout, { least: 1, most: 86_400 });
  const idleSeconds = secondsOf(given, idle, { least: 1, most: 604_800 });
  return {
    ...(has(given, gateway) && { gatewayPorts: true }),
    ...(has(given, ephemeral) && { ephemeral: true }),
    ...(has(given, noWait) && { wait: false }),
    ...(has(given, onDemand) && { onDemand: true }),
    ...(called !== undefined && { name: called }),
    ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    ...(idleSeconds !== undefined && { idleSeconds }),
  };
}
