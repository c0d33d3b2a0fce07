// The forwards that a user asks for, from the request to forwards that stand.
import type { OpenRequest } from "../../shared/contract.ts";
import type { Forward as ForwardRecord } from "../../shared/records.ts";
import type { Member } from "./company.ts";
import type { House } from "./house.ts";
import type { Master } from "./master.ts";
import { openForwards } from "./opening.ts";
import { refuseNonsense, specsOf, wishesOf } from "./request.ts";
import type { Transaction } from "./transaction.ts";

/** Finds or makes the master, and sets them up: all or none. @throws TundError why not */
export async function openRequested(
  request: OpenRequest,
  member: Member,
  house: House,
  transaction: Transaction,
): Promise<ForwardRecord[]> {
  const { host, connection, wait: isAwaited = true, onDemand = false } = request;
  const { name = null, ephemeral = false } = request;
  const specs = specsOf(request.forwards);
  refuseNonsense(request, specs);
  const wanted = { specs, wishes: wishesOf(request), name, isPersistent: !ephemeral, isAwaited };
  const start = onDemand ? "idle" : "connecting";
  const named =
    isAwaited && !onDemand
      ? await house.roster.claims.ready(host, connection, { member, transaction })
      : await house.roster.claims.acquire(host, connection, { start, transaction, member });
  // Nobody waits: they are not asked, but their agent may serve.
  named.master.company.join(member)();
  const opened = await openForwards(named, wanted, house, transaction);
  const [first, ...others] = opened.map((forward) => forward.snapshot());
  if (first === undefined) return [];
  // Whoever asks for a forward alone hears of the link as well.
  return [{ ...first, warnings: [...first.warnings, ...warningsOf(named.master)] }, ...others];
}

const warningsOf = (master: Master): readonly string[] =>
  master.state === "ready" ? master.live().warnings : [];
