// What a master says to those who come when it has no link, or wants no more company.
import type { Failure } from "../../shared/records.ts";
import { TundError } from "../../shared/errors.ts";
import { type HostConfig, whereOf } from "../ssh/host-config.ts";
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

export const isHeld = (host: string): TundError =>
  new TundError("UNSUPPORTED", `${host} is its holder's alone: as ssh's own masters, it ends with its link`);

/** @param config what the host stands for, and with other options */
export const standsForAnother = (host: string, config: HostConfig): TundError =>
  new TundError(
    "HOST_CONFLICT",
    `${host} stands for ${whereOf(config)} with other options: ` +
      `use another name for it (ssh://user@host:port), or 'tunctl exit ${host}' first`,
  );
