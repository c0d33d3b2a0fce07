import { expect } from "vitest";
import { readAll } from "../support/tcp.ts";
import { everyWay, pairOf, plumbing } from "./every-way.ts";
import { digestOf, digestOfPoured, pour } from "./pump.ts";

const on = plumbing();
// More than a window, so that the channel has to live on in earnest.
const SIZE = 5_000_000;
const digest = digestOfPoured(SIZE);

everyWay(
  on,
  "passes on the end of who connected, and still brings what the destination says",
  async (way) => {
    const { near, far } = await pairOf(way);
    near.end("question");
    expect((await readAll(far)).toString()).toBe("question");
    const [answer] = await Promise.all([digestOf(near), pour(far, SIZE)]);
    expect(answer).toBe(digest);
    return "the end is passed on, the other direction goes on";
  },
);

everyWay(on, "passes on the destination's end, and still takes what is sent to it", async (way) => {
  const { near, far } = await pairOf(way);
  far.end("said first");
  expect((await readAll(near)).toString()).toBe("said first");
  const [received] = await Promise.all([digestOf(far), pour(near, SIZE)]);
  expect(received).toBe(digest);
  return "the end is passed on, the other direction goes on";
});

everyWay(on, "keeps data and an end that were sent before the channel was open", async (way) => {
  // Depends on how the bytes fall, so there is nothing to assert: seen with 9.2 on most runs, and not on all.
  if (way.subject.name === "OpenSSH" && way.kind.socks)
    return "an end right behind the request may drop both";
  const near = await way.start();
  const answer = readAll(near); // SOCKS has its replies in it
  near.end("all at once");
  const far = await way.far.next();
  expect((await readAll(far)).toString()).toBe("all at once");
  far.end("answer");
  expect((await answer).toString("latin1").endsWith("answer")).toBe(true);
  return "both arrive";
});
