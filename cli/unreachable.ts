// Why the daemon did not answer.
import { errnoOf, messageOf, TundError } from "../shared/errors.ts";
import { howToStart } from "./how-to-start.ts";

/** Says why the daemon did not answer, and what to do. */
export function unreachable(socketPath: string, error: unknown): TundError {
  const elsewhere = "or say where it listens with --socket PATH or TUND_SOCKET";
  const say = (message: string) => new TundError("DAEMON_UNREACHABLE", message, { cause: error });
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
