// Hosts in whose turn tund has ended again and again: they are left alone until a person wants them.
import { timestamp } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";

/** Who remembers them. */
export interface Suspects {
  /** when tund last ended in the host's turn, in milliseconds since the epoch; null: it is no suspect */
  lastOf: (host: string) => number | null;
  /** A person wants the host all the same. */
  forgive: (host: string) => Promise<void>;
}

export const noSuspects: Suspects = { lastOf: () => null, forgive: () => Promise.resolve() };

/** Why a host is left alone, if it is. */
export function suspicionOf(host: string, suspects: Suspects): TundError | null {
  const last = suspects.lastOf(host);
  if (last === null) return null;
  return new TundError(
    "INTERNAL",
    `tund ended while handling ${host}, twice within ten minutes, last at ${timestamp(last)}; ` +
      `its log says why: 'tunctl connect ${host}' tries again`,
  );
}
