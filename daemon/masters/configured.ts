// The forwards that ssh_config itself asks for.
import type { OpenRequest } from "../../shared/contract.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Forward } from "../forwards/forward.ts";
import type { Master } from "./master.ts";
import type { Wanted } from "./opening.ts";
import { specsOf } from "./request.ts";
import type { Named } from "./roster.ts";

/** Sets up forwards, all or none. @throws TundError why not */
export type Open = (master: Master, wanted: Wanted) => Promise<Forward[]>;

/**
 * Sets up the forwards of a host's ssh_config. As ssh does: those that cannot be are told and left out, unless
 * ExitOnForwardFailure makes them everybody's failure.
 * @throws TundError then, and STATE_NOT_SAVED
 */
export async function openConfigured(
  host: string,
  { master, forwarding }: Named,
  isPersistent: boolean,
  open: Open,
): Promise<void> {
  const { configured, clearAll, exitOnFailure } = forwarding;
  master.warnings = [];
  if (clearAll || configured.length === 0) return;
  const wishes = { gatewayPorts: false, onDemand: false, idleSeconds: null };
  const wanted = { host, forwarding, wishes, name: null, isPersistent, isAwaited: true };
  const openSome = (forwards: OpenRequest["forwards"]) =>
    open(master, { ...wanted, specs: specsOf(forwards) });
  if (exitOnFailure) return void (await openSome(configured));
  for (const forward of configured)
    await openSome([forward]).catch((error: unknown) => {
      if (error instanceof TundError && error.code === "STATE_NOT_SAVED") throw error;
      master.warnings.push(`${forward.kind} forward ${forward.spec} of ssh_config: ${messageOf(error)}`);
    });
}
