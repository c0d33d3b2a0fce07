import { describe, expect, it } from "vitest";
import { type Turn, DialQueue, type DialQueueOptions, type Wish } from "../../daemon/ssh/dial-queue.ts";
import { manualClock } from "../support/clock.ts";

const inBackground: Wish = { isAwaited: () => false };
const byPerson: Wish = { isAwaited: () => true };

function setUp(options: Partial<DialQueueOptions> = {}) {
  const clock = manualClock();
  const turns = new DialQueue({ most: 4, reserved: 2, slowMs: 1000, clock, ...options });
  const begun: string[] = [];
  const ends = new Map<string, Turn>();
  const take = (name: string, wish: Wish) => {
    turns.take(wish).then(
      (turn) => {
        begun.push(name);
        ends.set(name, turn);
      },
      () => begun.push(`${name} left`),
    );
  };
  const settled = () => new Promise<void>((go) => setImmediate(go));
  const told = async () => {
    await settled();
    return begun.splice(0);
  };
  return { clock, turns, take, told, end: (name: string) => ends.get(name)?.end() };
}

describe("a queue of turns", () => {
  it("keeps some for people, and gives the others in the order in which they were asked for", async () => {
    const { take, told, end } = setUp();
    for (const name of ["a", "b", "c", "d"]) take(name, inBackground);
    expect(await told()).toEqual(["a", "b"]);
    for (const name of ["me", "you", "she"]) take(name, byPerson);
    expect(await told()).toEqual(["me", "you"]);
    end("a");
    expect(await told()).toEqual(["she"]); // before c and d, who came sooner
    for (const name of ["me", "you", "she"]) end(name);
    expect(await told()).toEqual(["c"]);
    end("b");
    expect(await told()).toEqual(["d"]);
  });

  it("lets the next one go when one takes long, which ends without another place being free", async () => {
    const { clock, take, told, end } = setUp();
    for (const name of ["a", "b", "c", "d", "e"]) take(name, inBackground);
    expect(await told()).toEqual(["a", "b"]);
    clock.advance(1000);
    expect(await told()).toEqual(["c", "d"]);
    end("a");
    end("b");
    end("b");
    expect(await told()).toEqual([]);
    end("c");
    expect(await told()).toEqual(["e"]);
  });

  it("bounds those that take long where that is asked for, and keeps some of these for people too", async () => {
    const { clock, take, told, end } = setUp({ withSlow: { most: 4, reserved: 1 } });
    for (const name of ["a", "b", "c", "d"]) take(name, inBackground);
    clock.advance(1000);
    expect(await told()).toEqual(["a", "b", "c"]);
    clock.advance(1000);
    expect(await told()).toEqual([]);
    take("me", byPerson);
    take("you", byPerson);
    expect(await told()).toEqual(["me"]);
    end("a");
    expect(await told()).toEqual(["you"]);
  });

  it("raises who is waited for meanwhile", async () => {
    const { turns, take, told } = setUp();
    let isAwaited = false;
    for (const name of ["a", "b", "c"]) take(name, inBackground);
    take("mine", { isAwaited: () => isAwaited });
    expect(await told()).toEqual(["a", "b"]);
    isAwaited = true;
    turns.reconsider();
    expect(await told()).toEqual(["mine"]);
  });

  it("forgets who leaves the queue, at once and without a place being freed", async () => {
    const { take, told, end } = setUp();
    const over = new AbortController();
    for (const name of ["a", "b"]) take(name, inBackground);
    take("c", { ...inBackground, signal: over.signal });
    take("d", inBackground);
    over.abort();
    expect(await told()).toEqual(["a", "b", "c left"]);
    end("a");
    expect(await told()).toEqual(["d"]);
    take("e", { ...inBackground, signal: over.signal });
    expect(await told()).toEqual(["e left"]);
  });
});
