// The forwards that a user asks for, from the request to forwards that stand.
import type { OpenRequest } from "../../shared/contract.ts";
import type { Forward } from "../forwards/forward.ts";
import { deadlineIn } from "./deadline.ts";
import type { Member } from "./company.ts";
import type { House } from "./house.ts";
import { openForwards, type Wanted } from "./opening.ts";
import { refuseNonsense, specsOf, wishesOf } from "./request.ts";
import type { Named } from "./names.ts";

/** Finds or makes the master, and sets them up: all or none. @throws TundError why not */
export async function openRequested(request: OpenRequest, member: Member, house: House): Promise<Forward[]> {
  const { host, connection, wait = true, onDemand = false, timeoutSeconds } = request;
  const specs = specsOf(request.forwards);
  refuseNonsense(request, specs);
  const deadline = deadlineIn(timeoutSeconds, house.clock);
  try {
    const found =
      wait && !onDemand
        ? await house.roster.ready(host, connection, { member, deadline: deadline.over })
        : await house.roster.acquire(host, connection, onDemand ? "idle" : "connecting");
    // Nobody waits: they are not asked, but their agent may serve.
    found.master.company.join(member)();
    return await openOn(found, { ...request, specs, deadline: deadline.over }, house);
  } finally {
    deadline.cancel();
  }
}

async function openOn(
  { master, forwarding }: Named,
  request: OpenRequest & Pick<Wanted, "specs" | "deadline">,
  house: House,
): Promise<Forward[]> {
  const { host, specs, name = null, ephemeral = false, wait: isAwaited = true, deadline } = request;
  const wishes = wishesOf(request);
  const settings = { ...forwarding, gatewayPorts: wishes.gatewayPorts || forwarding.gatewayPorts };
  const wanted = { host, specs, forwarding: settings, wishes, name, isPersistent: !ephemeral, isAwaited };
  try {
    const opened = await openForwards(master, { ...wanted, ...(deadline && { deadline }) }, house);
    house.roster.keep(master);
    return opened;
  } catch (error) {
    house.roster.release(master);
    throw error;
  }
}
