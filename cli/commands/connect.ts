import { formatAddress } from "../../shared/forward-spec.ts";
import { type Option, secondsOf } from "../args.ts";
import { remember, withCaller } from "../caller.ts";
import type { Command } from "../command.ts";
import { connectionOf, connectionOptions, controlPath } from "../connection-options.ts";
import { warn } from "../fail.ts";
import { hostOrOnly } from "../host.ts";
import { confirm } from "../print.ts";

const timeout: Option = {
  long: "timeout",
  value: "SECONDS",
  help: "give up after that long (exit code 8), and leave it as it was",
};

/** Connects a host and keeps it connected. */
export const connect: Command = {
  name: "connect",
  summary: "connect a host and keep it connected",
  usage: "[options] [HOST]",
  options: [...connectionOptions, controlPath, remember, timeout],
  most: 1,
  takes: ["hosts"],
  help: `Returns when its master is ready, with the LocalForward, RemoteForward and DynamicForward of its
ssh_config. HOST is [user@]host, an ssh_config alias, or ssh://[user@]host[:port].

What the login needs (a passphrase, a password, a code, a yes to an unknown host key) is asked here, at
the terminal or by SSH_ASKPASS. Your agent is used where tund has none. If the link is lost later and
needs you again, the host is blocked, and says why; connect resumes it. A host that is not connected in
time is not kept, if it was not before.

Its master can be driven by ssh itself (ssh -S PATH -O forward|cancel|check|stop|exit ...): 'tunctl
status --json' shows the path, as muxSocket.

Examples:
  tunctl connect db
  tunctl connect -i ~/.ssh/id_work -o ServerAliveInterval=30 alice@bastion`,

  async run(invocation) {
    const connection = connectionOf(invocation);
    const timeoutSeconds = secondsOf(invocation.given, timeout, { least: 1, most: 86_400 });
    const body = {
      ...(connection !== undefined && { connection }),
      ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    };
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    const master = await withCaller(invocation, (asked) =>
      invocation.call("connectMaster", {
        params: { host },
        body: { ...body, ...asked },
      }),
    );
    for (const warning of master.warnings) warn(invocation, warning);
    const server = master.server === null ? "" : `, ${master.server}`;
    confirm(invocation, master, () => [
      `connected to ${master.host} (${master.user}@${formatAddress(master.hostname, master.port)}${server})`,
    ]);
  },
};
