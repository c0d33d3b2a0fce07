// Who keeps listeners while the daemon is restarted, as the forwards see it.
import type { Server } from "node:net";

export interface ListenerKeeper {
  /** A listener from before the restart that is bound there (`127.0.0.1:5432`, a path): its descriptor, once. */
  take(where: string): number | undefined;
  /** Keeps a listener for after a restart. */
  keep(where: string, server: Server): void;
  /** It is closed. Tells whether it is gone for good; if not, what is on disk of it stays. */
  forget(where: string): boolean;
}

/** Where nobody does. */
export const noKeeper: ListenerKeeper = { take: () => undefined, keep: () => undefined, forget: () => true };
