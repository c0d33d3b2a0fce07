import { TundError } from "../../shared/errors.ts";
import type { Finding } from "../../shared/logins.ts";
import { withCaller } from "../caller.ts";
import type { Command } from "../command.ts";
import { connectionOf, connectionOptions } from "../connection-options.ts";
import { lookHere } from "../look-here.ts";
import { print } from "../print.ts";
import { type Column, table } from "../table.ts";

/** Says what would happen and why, and what to do about it. */
export const doctor: Command = {
  name: "doctor",
  summary: "say what stands in the way of the daemon, or of a host",
  usage: "[options] [HOST]",
  options: connectionOptions,
  most: 1,
  takes: ["hosts"],
  help: `Looks at the daemon's directories and ciphers, and with HOST at what connecting it would come to: the
configuration, the way there, agent and identities, the server's host key and what it wants of a login.
Each finding comes with the next step. No secret is sent, and nothing is changed; hosts that lead to
others are connected for the look if they are not. Exits with 1 when there is a problem.
Where no daemon answers it says what would keep one from starting, and exits with 3.

Examples:
  tunctl doctor
  tunctl doctor db`,

  async run(invocation) {
    const connection = connectionOf(invocation);
    const [host] = invocation.positionals;
    const target = { ...(host !== undefined && { host }), ...(connection !== undefined && { connection }) };
    const { findings } = await withCaller(invocation, (asked) =>
      invocation.call("diagnose", { body: { ...target, ...asked } }),
    ).catch((error: unknown) => {
      if (!(error instanceof TundError) || error.code !== "DAEMON_UNREACHABLE") throw error;
      const here = lookHere(invocation.context);
      print(invocation, { findings: here }, () => table(columns, here));
      throw error;
    });
    print(invocation, { findings }, () => table(columns, findings));
    return findings.some(({ level }) => level === "problem") ? 1 : 0;
  },
};

const columns: readonly Column<Finding>[] = [
  { title: "STATE", cell: ({ level }) => level },
  { title: "WHAT", cell: ({ subject }) => subject },
  { title: "FINDING", cell: ({ message, next }) => (next === null ? message : `${message}; next: ${next}`) },
];
