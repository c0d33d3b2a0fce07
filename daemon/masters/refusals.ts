// What a master says to those who come when it has no link, or wants no more company.
import type { Failure } from "../../shared/records.ts";
import { TundError } from "../../shared/errors.ts";
import type { MasterState } from "./state.ts";

/** There is no link to open a channel on. */
export const noLink = (host: string, state: MasterState, failure: Failure | null): TundError =>
  new TundError(
    "CONNECTION_LOST",
    `the master of ${host} is ${state}${failure === null ? "" : `: ${failure.message}`}`,
  );

/** It has been stopped, and goes when its last connection does. */
export const isEnding = (host: string, connections: number): TundError =>
  new TundError("MASTER_CLOSING", `the master of ${host} is ending; ${connections} connections are open`);
