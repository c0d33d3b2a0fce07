// Putting back what was saved: at once in name, and for good when ssh_config has been asked about each host.
import { failureOf, TundError } from "../../shared/errors.ts";
import { parseForwardSpec } from "../../shared/forward-spec.ts";
import type { SavedForward, SavedHost } from "../saved-state.ts";
import type { Forward } from "../forwards/forward.ts";
import type { Master } from "./master.ts";
import { goodLoginOf } from "./good-logins.ts";
import type { House } from "./house.ts";
import { makeForward, promise } from "./opening.ts";
import type { Named } from "./names.ts";
import { asWritten, settle } from "./selection.ts";

/** Reserves a place for a saved host, with its forwards: they are pending until it is resolved. */
export function restoreHost(saved: SavedHost, house: House): void {
  const { host, kept, connection, hadEnvironment = false, forwards } = saved;
  const named = house.roster.reserve(host, connection ?? undefined);
  const { master, forwarding } = named;
  named.intent.settle({ isKept: kept, isEnvironmentLost: hadEnvironment });
  named.keepMaster();
  const goodLogin = goodLoginOf(saved.goodLogin);
  if (goodLogin !== undefined) house.roster.returning.goodLogins.restore(host, goodLogin);
  // Once the true master is there, those that kept a place have nothing more to say.
  const isCurrent = () => house.roster.names.get(host)?.master === master;
  const quiet = { ...house, onChange: (forward: Forward) => isCurrent() && house.onChange(forward) };
  for (const one of forwards)
    try {
      const spec = asWritten(parseForwardSpec(one.kind, one.spec));
      const forward = makeForward({ ...one, host, spec, forwarding, wishes: wishesOf(one) }, master, quiet);
      forward.intent.settle({ isPersistent: true, name: one.name });
      const { state, failure } = master.snapshot();
      if (state === "failed" && failure !== null)
        forward.refuse(new TundError(failure.code, failure.message));
    } catch (error) {
      // Only a hand that edited the file can have done it.
      house.log.error({ host, forward: one.id }, `left out: ${failureOf(error, house.log).message}`);
    }
}

/** Gives a host's true master the forwards that had their place kept, under the same ids, and begins to set them up. */
export function settleHost(named: Named, before: Master, house: House): void {
  const { host, master, forwarding } = named;
  for (const { id, name, wishes, spec, allocatedPort, isPersistent } of before.forwards)
    try {
      const settings = { ...forwarding, gatewayPorts: wishes.gatewayPorts || forwarding.gatewayPorts };
      const settled = settle(parseForwardSpec(spec.kind, spec.text), settings);
      const making = { id, host, spec: settled, forwarding, wishes, allocatedPort };
      const forward = makeForward(making, master, house);
      forward.intent.settle({ name, isPersistent });
      promise(forward, master);
    } catch (error) {
      house.log.error(
        { host, forward: id },
        `cannot be set up again: ${failureOf(error, house.log).message}`,
      );
    }
  named.keepMaster();
  if (!before.isOnDemand) master.want();
}

const wishesOf = ({ gatewayPorts, onDemand, idleSeconds }: SavedForward) => ({
  gatewayPorts,
  onDemand,
  idleSeconds,
});
