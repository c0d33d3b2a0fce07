// Look-ups of many names, by a resolver that answers when it is told to (the real one, silent: test/faults/hanging.test.ts).
import type { LookupAddress } from "node:dns";
import { describe, expect, it } from "vitest";
import { Files } from "../../daemon/files.ts";
import { Resolver, type ResolverOptions } from "../../daemon/resolver.ts";
import { systemClock } from "../../shared/clock.ts";
import { eventually } from "../support/eventually.ts";

const found: LookupAddress[] = [{ address: "192.0.2.1", family: 4 }];

function resolverOf(threads: number, clock = systemClock) {
  const asked: string[] = [];
  const answers = new Map<string, () => void>();
  const ask = ((name: string, _options: unknown, done: (error: null, all: LookupAddress[]) => void) => {
    asked.push(name);
    answers.set(name, () => done(null, found));
  }) as unknown as NonNullable<ResolverOptions["ask"]>;
  const resolver = new Resolver({ clock, files: new Files(clock), threads, ask });
  const lookup = (name: string, owner: object = {}, deadlineMs = 60_000, signal?: AbortSignal) => {
    const looked = resolver.lookup(name, { owner, deadlineMs, ...(signal && { signal }) });
    looked.catch(() => undefined);
    return looked;
  };
  return { asked, answers, lookup };
}

describe("a resolver", () => {
  it("is not asked for numeric addresses, nor for localhost", async () => {
    const { asked, lookup } = resolverOf(4);
    expect(await lookup("192.0.2.7")).toEqual([{ address: "192.0.2.7", family: 4 }]);
    expect(await lookup("fe80::1%lo")).toEqual([{ address: "fe80::1%lo", family: 6 }]);
    const loopbacks = (await lookup("localhost")).map(({ address }) => address);
    expect(["::1", "127.0.0.1"]).toEqual(expect.arrayContaining(loopbacks));
    expect(loopbacks.length).toBeGreaterThan(0);
    expect(asked).toEqual([]);
  });

  it("is asked once for a name that several want at the same time", async () => {
    const { asked, answers, lookup } = resolverOf(4);
    const both = [lookup("a"), lookup("a")];
    answers.get("a")?.();
    expect(await Promise.all(both)).toEqual([found, found]);
    expect(asked).toEqual(["a"]);
  });

  it("gives one owner a few names at a time, and the others theirs", async () => {
    const { asked, lookup } = resolverOf(32);
    const greedy = {};
    for (let index = 0; index < 20; index++) void lookup(`dead${index}`, greedy);
    void lookup("other");
    expect(asked).toEqual(["dead0", "dead1", "dead2", "dead3", "other"]);
  });

  it("keeps threads for names that were answered soon before", async () => {
    const { asked, answers, lookup } = resolverOf(8);
    const good = lookup("good");
    answers.get("good")?.();
    await good;
    for (let index = 0; index < 20; index++) void lookup(`dead${index}`);
    expect(asked).toHaveLength(1 + 6);
    void lookup("good");
    expect(asked.at(-1)).toBe("good");
  });

  it("gives names that were not answered soon a quarter of the threads at most", async () => {
    let now = 0;
    const { asked, answers, lookup } = resolverOf(8, { ...systemClock, monotonic: () => now });
    const dead = Array.from({ length: 6 }, (_, index) => `dead${index}`);
    const first = dead.map((name) => lookup(name));
    now = 10_000;
    for (const name of dead) answers.get(name)?.();
    await Promise.all(first);
    for (const name of dead) void lookup(name);
    expect(asked.slice(6)).toEqual(["dead0", "dead1"]);
    void lookup("new");
    expect(asked.at(-1)).toBe("new");
  });

  it("that does not answer is waited for as long as was said, and what still waits for it is joined", async () => {
    const { asked, answers, lookup } = resolverOf(4);
    await expect(lookup("dead", {}, 20)).rejects.toThrow("the resolver did not answer within 0.02 s");
    const again = lookup("dead");
    answers.get("dead")?.();
    expect(await again).toEqual(found);
    expect(asked).toEqual(["dead"]);
  });

  it("is not asked for a name that nobody wants any more", async () => {
    const { asked, answers, lookup } = resolverOf(1);
    const over = new AbortController();
    const owner = {};
    const first = lookup("first", owner);
    const given = lookup("given-up", owner, 60_000, over.signal);
    over.abort(new Error("given up"));
    await expect(given).rejects.toThrow("given up");
    answers.get("first")?.();
    await first;
    void lookup("next", owner);
    await eventually(() => asked.length === 2);
    expect(asked).toEqual(["first", "next"]);
  });

  it("does not collect names without bound for one who asks for them", async () => {
    const { lookup } = resolverOf(4);
    const greedy = {};
    for (let index = 0; index < 256; index++) void lookup(`n${index}`, greedy);
    await expect(lookup("one-more", greedy)).rejects.toThrow("256 other names are being looked up");
  });
});
