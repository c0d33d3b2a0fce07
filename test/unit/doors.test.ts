import { describe, expect, it } from "vitest";
import { Doors, HeldBack, type Visit, type Visitor } from "../../daemon/ssh/doors.ts";
import { manualClock } from "../support/clock.ts";

const SERVER = "192.0.2.1:22";

function street() {
  const clock = manualClock();
  const doors = new Doors(clock);
  const come = (visitor: Partial<Visitor> = {}, where = SERVER) => {
    const visit: Visit = doors.visit({ isAwaited: () => false, isTrusted: () => false, ...visitor });
    const seen: { state: "waits" | "in" | "held" | "gone"; waitMs?: number } = { state: "waits" };
    visit.at(where).then(
      () => (seen.state = "in"),
      (error: unknown) => {
        seen.state = error instanceof HeldBack ? "held" : "gone";
        if (error instanceof HeldBack) seen.waitMs = error.waitMs;
      },
    );
    return { visit, seen };
  };
  const turn = async () => {
    for (let one = 0; one < 5; one++) await Promise.resolve();
  };
  const refuseOne = async (visitor: Partial<Visitor> = {}) => {
    const { visit } = come(visitor);
    await turn();
    visit.end("refused", "no");
    await turn();
  };
  return { clock, doors, come, turn, refuseOne };
}

const person = { isAwaited: () => true };
const trusted = { isTrusted: () => true };
const statesOf = (all: readonly { seen: { state: string } }[]) => all.map(({ seen }) => seen.state).join(" ");

describe("a server's door", () => {
  it("has five at most that have not logged in, one of them a person, once it is known to let in", async () => {
    const { come, turn } = street();
    const { visit } = come();
    const all = Array.from({ length: 7 }, () => come());
    await turn();
    visit.end("accepted");
    await turn();
    expect(statesOf(all)).toBe("in in in in waits waits waits");
    const people = Array.from({ length: 2 }, () => come(person));
    await turn();
    expect(statesOf(people)).toBe("in waits");
    all[0]?.visit.end("other");
    await turn();
    expect(statesOf(people)).toBe("in in");
    expect(statesOf(all)).toBe("in in in in waits waits waits");
    for (const one of people) one.visit.end("accepted");
    await turn();
    expect(statesOf(all)).toBe("in in in in in waits waits");
  });

  it("is tried by one after the other once it has refused somebody, and by three in ten minutes at most", async () => {
    const { clock, come, turn } = street();
    const all = Array.from({ length: 7 }, () => come());
    await turn();
    expect(statesOf(all)).toBe("in in in waits waits waits waits");
    all[0]?.visit.end("refused", "no key");
    await turn();
    expect(statesOf(all.slice(1))).toBe("in in waits waits waits waits");
    all[1]?.visit.end("other");
    all[2]?.visit.end("other");
    await turn();
    expect(statesOf(all.slice(3))).toBe("in waits waits waits");
    all[3]?.visit.end("refused");
    await turn();
    expect(statesOf(all.slice(4))).toBe("in waits waits");
    clock.advance(1000);
    all[4]?.visit.end("refused");
    await turn();
    expect(statesOf(all.slice(5))).toBe("held held");
    expect(all[5]?.seen.waitMs).toBe(10 * 60_000 - 1000);
    const next = come();
    await turn();
    expect(next.seen.state).toBe("held");
    clock.advance(10 * 60_000 - 1000);
    const later = come();
    await turn();
    expect(later.seen.state).toBe("in");
  });

  it("has the others wait no longer than 10 s for a result that takes its time", async () => {
    const { clock, come, turn, refuseOne } = street();
    await refuseOne();
    const all = Array.from({ length: 3 }, () => come());
    await turn();
    expect(statesOf(all)).toBe("in waits waits");
    clock.advance(10_000);
    await turn();
    expect(statesOf(all)).toBe("in in waits"); // with the third there might be a fourth refusal
  });

  it("holds no person back", async () => {
    const { come, turn, refuseOne } = street();
    for (let one = 0; one < 5; one++) await refuseOne(person);
    const [background, awaited] = [come(), come(person)];
    await turn();
    expect(statesOf([background, awaited])).toBe("held in");
  });

  it("takes one that used to be let in, though others are held back, until such a one is refused too", async () => {
    const { come, turn, refuseOne } = street();
    for (let one = 0; one < 3; one++) await refuseOne();
    const [stranger, known] = [come(), come(trusted)];
    await turn();
    expect(statesOf([stranger, known])).toBe("held in");
    known.visit.end("refused");
    const another = come(trusted);
    await turn();
    expect(another.seen.state).toBe("held");
  });

  it("is one of many: another address and another port have their own", async () => {
    const { come, turn, refuseOne } = street();
    for (let one = 0; one < 3; one++) await refuseOne();
    const others = [come({}, "192.0.2.1:2222"), come({}, "192.0.2.2:22")];
    await turn();
    expect(statesOf(others)).toBe("in in");
  });

  it("is left by who gives up, and forgotten when there is nothing to remember", async () => {
    const { clock, doors, come, turn, refuseOne } = street();
    const over = new AbortController();
    const inside = Array.from({ length: 3 }, () => come());
    const waiting = come({ signal: over.signal });
    await turn();
    over.abort(new Error("not wanted any more"));
    await turn();
    expect(waiting.seen.state).toBe("gone");
    for (const { visit } of inside) visit.end("other");
    expect(doors.size).toBe(0);
    await refuseOne();
    expect(doors.size).toBe(1);
    clock.advance(10 * 60_000);
    expect(doors.size).toBe(0);
    expect(clock.pending()).toBe(0);
  });
});
