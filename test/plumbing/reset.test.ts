import { once } from "node:events";
import type { Socket } from "node:net";
import { expect } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openDescriptors, settledDescriptors } from "../support/process-figures.ts";
import { endOf } from "../support/tcp.ts";
import { everyWay, type OpenWay, type Pair, pairOf, plumbing } from "./every-way.ts";

import { breakOff, converse, floodUntilStill } from "./pump.ts";

const on = plumbing();

everyWay(on, "ends a connection at both ends when who connected breaks it off, and no other", (way) =>
  isBroken(way, { by: "near" }),
);

everyWay(on, "ends a connection at both ends when the destination breaks it off, and no other", (way) =>
  isBroken(way, { by: "far" }),
);

everyWay(on, "outlives one end that breaks off while the other floods it", async (way) => {
  const neighbour = await pairOf(way);
  const before = await settledDescriptors(way.subject.pid);
  for (const by of ["near", "far"] as const) {
    const [breaker, other] = roles(await pairOf(way), by);
    const flooded = floodUntilStill(other, Infinity);
    breaker.resume();
    await once(breaker, "data");
    breakOff(breaker);
    other.resume(); // or its end would not be noticed
    await eventually(() => other.closed);
    await flooded;
    await eventually(() => expect(openDescriptors(way.subject.pid)).toBeLessThanOrEqual(before));
  }
  await converse(neighbour);
  return "both ends are closed, the others go on";
});

async function isBroken(way: OpenWay, { by }: { by: keyof Pair }): Promise<string> {
  const neighbour = await pairOf(way);
  const before = await settledDescriptors(way.subject.pid);
  const [breaker, other] = roles(await pairOf(way), by);
  const hasReset = breaker.remoteFamily !== undefined;
  breakOff(breaker);
  const how = await endOf(other);
  // A reset looks like an end, and an end leaves the other direction open. Only tund's own sockets can tell it more.
  const { name } = way.subject;
  const isOwnSocket = (by === "near") === (way.kind.opener === "sshd");
  const freed = () => openDescriptors(way.subject.pid) === before;
  if (name === "tund" && isOwnSocket && hasReset) await eventually(freed);
  await converse(await pairOf(way)); // whatever was under way has arrived
  const atOnce = freed();
  // The other direction fails as soon as it is used, for both of them.
  await eventually(() => {
    if (!other.closed) other.write("anybody there?");
    return other.closed && freed();
  });
  await converse(neighbour);
  const what = hasReset ? "a reset arrives as" : "a close arrives as";
  const after = atOnce
    ? "all is freed at once"
    : "all is freed with the next byte or end from the other side";
  return `${what} ${how === "end" ? "an end" : "a reset"}; ${after}`;
}

const roles = ({ near, far }: Pair, breaker: keyof Pair): [Socket, Socket] =>
  breaker === "near" ? [near, far] : [far, near];
