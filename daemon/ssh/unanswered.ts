// When an attempt ends while a person may still answer it, trying again by itself would ask for the same thing a second time.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import type { Outstanding } from "./outstanding.ts";

// An agent that asks nobody answers in this time also on a busy machine: a link that was lost meanwhile is just that.
const GRACE_MS = 2000;

export interface Attempted {
  config: HostConfig;
  outstanding: Outstanding;
  clock: Clock;
  signal: AbortSignal;
}

const onceMore = ({ host }: HostConfig): string => `run 'tunctl connect ${host}' where it can be answered`;

/** Why an attempt failed: PROMPT_UNANSWERED in place of a loss where something stays outstanding for two seconds more. */
export async function withWhatIsOutstanding(error: unknown, attempted: Attempted): Promise<unknown> {
  const { config, outstanding, clock, signal } = attempted;
  const isLoss = error instanceof TundError && ["CONNECTION_LOST", "CONNECT_TIMEOUT"].includes(error.code);
  if (!isLoss) return error;
  const what = await outstanding.firstAfter(GRACE_MS, clock, signal);
  if (what === undefined) return error;
  const message = `${error.message}, while it waited for ${what}: ${onceMore(config)}`;
  return new TundError("PROMPT_UNANSWERED", message, { cause: error });
}

/** Why an attempt in the background ended that was not over in so many minutes. */
export function lapsed({ config, outstanding }: Attempted, minutes: number): TundError {
  const text = `${whereOf(config)}: not logged in within ${minutes} minutes`;
  const { first } = outstanding;
  return first === undefined
    ? new TundError("CONNECT_TIMEOUT", text)
    : new TundError("PROMPT_UNANSWERED", `${text}: it waited for ${first}; ${onceMore(config)}`);
}
