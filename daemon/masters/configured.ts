// The forwards that ssh_config itself asks for.
import type { OpenRequest } from "../../shared/contract.ts";
import { failureOf } from "../../shared/errors.ts";
import type { House } from "./house.ts";
import { openForwards } from "./opening.ts";
import { specsOf } from "./request.ts";
import type { Named } from "./names.ts";

/**
 * Sets up the forwards of a host's ssh_config. As ssh does: those that cannot be are told and left out, unless
 * ExitOnForwardFailure makes them everybody's failure.
 * @throws TundError then, and STATE_NOT_SAVED
 */
export async function openConfigured(
  host: string,
  { master, forwarding }: Named,
  isPersistent: boolean,
  house: House,
): Promise<void> {
  const { configured, clearAll, exitOnFailure } = forwarding;
  master.warnings = [];
  if (clearAll || configured.length === 0) return;
  const wishes = { gatewayPorts: false, onDemand: false, idleSeconds: null };
  const wanted = { host, forwarding, wishes, name: null, isPersistent, isAwaited: true };
  const openSome = (forwards: OpenRequest["forwards"]) =>
    openForwards(master, { ...wanted, specs: specsOf(forwards) }, house);
  if (exitOnFailure) return void (await openSome(configured));
  for (const forward of configured)
    await openSome([forward]).catch((error: unknown) => {
      const failure = failureOf(error, house.log);
      if (failure.code === "STATE_NOT_SAVED") throw failure;
      master.warnings.push(`${forward.kind} forward ${forward.spec} of ssh_config: ${failure.message}`);
    });
}
