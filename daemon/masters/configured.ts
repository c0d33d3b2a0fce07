// The forwards that ssh_config itself asks for.
import type { OpenRequest } from "../../shared/contract.ts";
import { failureOf } from "../../shared/errors.ts";
import type { House } from "./house.ts";
import { openForwards } from "./opening.ts";
import { specsOf } from "./request.ts";
import type { Master } from "./master.ts";
import type { Named } from "./names.ts";
import type { Transaction } from "./transaction.ts";

/**
 * Sets up the forwards of a host's ssh_config. As ssh does: those that cannot be are told and left out, unless
 * ExitOnForwardFailure makes them everybody's failure.
 * @throws TundError then, and STATE_NOT_SAVED
 */
export async function openConfigured(
  named: Named,
  isPersistent: boolean,
  house: House,
  transaction: Transaction,
): Promise<void> {
  const { master } = named;
  const { configured, clearAll, exitOnFailure } = named.forwarding;
  master.warnings = [];
  if (clearAll || configured.length === 0) return;
  const wishes = { gatewayPorts: false, onDemand: false, idleSeconds: null };
  const wanted = { wishes, name: null, isPersistent, isAwaited: true };
  const openSome = (forwards: OpenRequest["forwards"]) =>
    transaction.nested((part) => openForwards(named, { ...wanted, specs: specsOf(forwards) }, house, part));
  if (exitOnFailure) return void (await openSome(configured));
  for (const forward of configured)
    await openSome([forward]).catch((error: unknown) => {
      transaction.check(); // it may be the failure of all
      const failure = failureOf(error, house.log);
      if (failure.code === "STATE_NOT_SAVED") throw failure;
      master.warnings.push(`${forward.kind} forward ${forward.spec} of ssh_config: ${failure.message}`);
    });
}

/** A master has its link: hosts of the configuration get the forwards of their ssh_config, for now. */
export function openWhenReady(master: Master, configured: ReadonlySet<string>, house: House): void {
  const names = house.roster.names.of(master).filter(({ host }) => configured.has(host));
  for (const named of names) {
    const opening = house.desired.carryOut(undefined, async (transaction) => {
      house.roster.claims.claim(named, transaction);
      await openConfigured(named, false, house, transaction);
    });
    opening.catch((error: unknown) => master.warnings.push(failureOf(error, house.log).message));
  }
}
