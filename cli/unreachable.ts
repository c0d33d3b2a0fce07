// Why the daemon did not answer.
import { errnoOf, messageOf, TundError } from "../shared/errors.ts";
import { ForeignSocketError } from "./control-socket.ts";
import { howToStart } from "./how-to-start.ts";
import { userOf } from "./users.ts";

/** Says why the daemon did not answer, and what to do. What says so itself is given as it is. */
export function unreachable(socketPath: string, error: unknown): TundError {
  const elsewhere = "or say where it listens with --socket PATH or TUND_SOCKET";
  const say = (message: string) => new TundError("DAEMON_UNREACHABLE", message, { cause: error });
  if (error instanceof TundError) return error;
  if (error instanceof ForeignSocketError) return say(foreignText(socketPath, error, elsewhere));
  switch (errnoOf(error)) {
    case "ENOENT":
    case "ENOTDIR":
    case "ECONNREFUSED":
      return say(`no daemon answers on ${socketPath}: ${howToStart()}, ${elsewhere}`);
    case "EACCES":
    case "EPERM":
      return say(
        `no permission to speak to the daemon on ${socketPath}: run tunctl as its user, ${elsewhere}`,
      );
    case "ECONNRESET":
    case "EPIPE":
      return say(`the daemon on ${socketPath} went away before it answered: see its log for why`);
    case undefined:
    default:
      return say(`cannot speak to the daemon on ${socketPath}: ${messageOf(error)}`);
  }
}

function foreignText(socketPath: string, { part, uid }: ForeignSocketError, elsewhere: string): string {
  const what = { directory: "its directory belongs to", socket: "it belongs to", listener: "who listens is" };
  const name = userOf(uid);
  const theirs = `not speaking to ${socketPath}: ${what[part]} ${name ?? "somebody else"} (uid ${uid})`;
  return process.geteuid?.() === 0
    ? `${theirs}, and root speaks to its own tund alone: 'sudo -u ${name ?? `\\#${uid}`} tunctl ...'`
    : `${theirs}, and you speak to your own tund or root's alone: start yours, ${elsewhere}`;
}
