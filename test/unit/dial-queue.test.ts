import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { type Turn, DialQueue, type DialQueueOptions, type Wish } from "../../daemon/ssh/dial-queue.ts";
import { Turns } from "../../daemon/turns.ts";
import { manualClock } from "../support/clock.ts";

const inBackground: Wish = { isAwaited: () => false };
const byPerson: Wish = { isAwaited: () => true };

function setUp(options: Partial<DialQueueOptions> = {}) {
  const clock = manualClock();
  const turns = new DialQueue({
    most: 4,
    reserved: 2,
    slowMs: 1000,
    slices: new Turns(clock),
    clock,
    ...options,
  });
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
  const settled = async () => {
    for (let turn = 0; turn < 10; turn++) await nextTurn();
  };
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

  it("puts who is no longer waited for back where it was", async () => {
    const { take, told, end } = setUp();
    let isAwaited = true;
    for (const name of ["a", "b"]) take(name, inBackground);
    for (const name of ["me", "you"]) take(name, byPerson);
    for (const name of ["c", "d"]) take(name, inBackground);
    take("mine", { isAwaited: () => isAwaited });
    take("e", inBackground);
    expect(await told()).toEqual(["a", "b", "me", "you"]);
    isAwaited = false;
    for (const name of ["a", "b", "me", "you"]) end(name);
    expect(await told()).toEqual(["c", "d"]);
    end("c");
    end("d");
    expect(await told()).toEqual(["mine", "e"]);
  });

  it("looks at each that waits a few times, however many there are, and at none that has left", async () => {
    const { turns } = setUp();
    const leaving: AbortController[] = [];
    let looks = 0;
    const order: number[] = [];
    const one = async (n: number) => {
      const over = new AbortController();
      if (n % 3 === 2) leaving.push(over);
      const wish = { signal: over.signal, isAwaited: () => (looks++, n === 2999) };
      const turn = await turns.take(wish).catch(() => null);
      if (turn === null) return;
      order.push(n);
      await Promise.resolve();
      turn.end();
    };
    const all = Array.from({ length: 3000 }, (_, n) => one(n));
    for (const over of leaving) over.abort();
    await Promise.all(all);
    const stayed = Array.from({ length: 2999 }, (_, n) => n).filter((n) => n % 3 !== 2);
    expect(order.filter((n) => n !== 2999)).toEqual(stayed);
    expect(order.indexOf(2999)).toBeLessThan(5);
    expect(looks).toBeLessThan(3 * 3000);
  });

  it("takes a turn back from who leaves before it begins", async () => {
    const { take, told } = setUp({ most: 1, reserved: 0 });
    const over = new AbortController();
    take("a", { ...byPerson, signal: over.signal });
    take("b", byPerson);
    over.abort();
    expect(await told()).toEqual(["a left", "b"]);
  });

  it("begins one in a turn of the event loop, and no more", async () => {
    const { turns } = setUp();
    let inTurn = 0;
    let most = 0;
    const tick = () => ((inTurn = 0), (next = setImmediate(tick)));
    let next = setImmediate(tick);
    const begin = async () => {
      await turns.take(byPerson);
      most = Math.max(most, ++inTurn);
    };
    await Promise.all([begin(), begin(), begin(), begin()]);
    clearImmediate(next);
    expect(most).toBe(1);
  });

  it("forgets who leaves the queue, at once and without a place being freed", async () => {
    const { take, told, end } = setUp();
    const over = new AbortController();
    for (const name of ["a", "b"]) take(name, inBackground);
    take("c", { ...inBackground, signal: over.signal });
    take("d", inBackground);
    over.abort();
    expect(await told()).toEqual(["c left", "a", "b"]);
    end("a");
    expect(await told()).toEqual(["d"]);
    take("e", { ...inBackground, signal: over.signal });
    expect(await told()).toEqual(["e left"]);
  });
});
