import type { Socket } from "node:net";
import { expect } from "vitest";
import { residentBytes } from "../support/process-figures.ts";
import { echoed } from "../support/tcp.ts";
import { everyWay, type OpenWay, type Pair, pairOf, plumbing } from "./every-way.ts";
import { breakOff, floodUntilStill } from "./pump.ts";

const on = plumbing();

const MB = 1_000_000;
// Far more than all buffers on the way can hold.
const OFFERED = 100 * MB;
// A channel's window of 2 MiB, half a megabyte of tund's own, and what the system holds of three connections, which is
// most of it: some 4 MB each on loopback, and twice that when the machine is busy (tcp_rmem and tcp_wmem say how far).
const HELD_AT_MOST = 40 * MB;
// The subject's share of that, and what its allocator makes of it.
const GROWN_AT_MOST = 30 * MB;

everyWay(on, "holds a bounded number of bytes for a client that does not read, and delays nobody", (way) =>
  stalls(way, ({ near, far }) => [near, far]),
);

everyWay(
  on,
  "holds a bounded number of bytes for a destination that does not read, and delays nobody",
  (way) => stalls(way, ({ near, far }) => [far, near]),
);

async function stalls(way: OpenWay, roles: (pair: Pair) => [Socket, Socket]): Promise<string> {
  const neighbour = await pairOf(way);
  neighbour.far.pipe(neighbour.far);
  neighbour.near.resume();
  const before = residentBytes(way.subject.pid);
  const [reader, writer] = roles(await pairOf(way));
  reader.pause();
  const held = await floodUntilStill(writer, OFFERED);
  expect(held).toBeLessThan(HELD_AT_MOST);
  expect(residentBytes(way.subject.pid) - before).toBeLessThan(GROWN_AT_MOST);
  const asked = performance.now();
  for (let round = 0; round < 20; round++)
    expect(await echoed(neighbour.near, "not stalled")).toBe("not stalled");
  // Measured: half a millisecond each. A neighbour that waits for the stalled one waits for ever.
  expect(performance.now() - asked).toBeLessThan(2000);
  for (const socket of [reader, writer, neighbour.near, neighbour.far]) breakOff(socket);
  // To the nearest 5 MB: the system's share changes from run to run.
  return `stands still after about ${Math.max(5, Math.round(held / MB / 5) * 5)} MB, the system's buffers included`;
}
