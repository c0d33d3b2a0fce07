// A place that is kept for a host until ssh has been asked what its ssh_config means.
import { TundError } from "../../shared/errors.ts";
import type { Dial } from "./attempts.ts";
import type { Wanted } from "./claims.ts";
import { memberOf } from "./company.ts";
import type { Master } from "./master.ts";
import type { MasterOptions } from "./master-options.ts";
import { suspicionOf, type Suspects } from "./suspects.ts";
import { Transaction } from "./transaction.ts";

interface Keeping {
  suspects: Suspects;
  /** the master that keeps the place */
  master: () => Master;
  /** finds or makes the host's true master, which takes the place */
  acquire: (wanted: Wanted) => Promise<unknown>;
}

/** How the master is made that keeps a place: its attempts are questions to ssh_config, and a suspect is not even asked about. */
export function reservation(
  host: string,
  { suspects, master, acquire }: Keeping,
): Pick<MasterOptions, "start" | "dial" | "failure"> {
  const failure = suspicionOf(host, suspects);
  const dial: Dial = async ({ signal }) => {
    await Promise.resolve(); // it is given its name and its forwards first
    const { company, isOnDemand } = master();
    const transaction = new Transaction(signal);
    const start = isOnDemand ? "idle" : "connecting";
    await transaction.run(() => acquire({ transaction, member: memberOf(company), start }));
    transaction.commit();
    throw new TundError("CONNECTION_LOST", `${host} has another master now`); // nobody hears it: this one has ended
  };
  return { start: failure === null ? "connecting" : "failed", dial, failure };
}
