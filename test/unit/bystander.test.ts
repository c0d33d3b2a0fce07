// How the harness of bystanders judges: what counts as a wait, when a scenario is decided, and what ran in a turn.
import { describe, expect, it } from "vitest";
import { type Profile, whatRan } from "../support/bystander/profile.ts";
import { scenariosOf } from "../support/bystander/scenarios.ts";
import {
  besideControls,
  decided,
  type Lane,
  type Seen,
  type Turn,
  type Worst,
  worstOf,
} from "../support/bystander/waits.ts";

const lane = (more: Partial<Lane>): Lane => ({ ticks: 1, worst: {}, waits: [], ended: null, ...more });

describe("a wait", () => {
  it("counts by what it exceeds the worst control's longest, in any second that it reaches into", () => {
    const late = lane({ waits: [{ sent: 1900, ms: 400 }] });
    const controls = [lane({ worst: { 1: 30, 2: 100 } }), lane({ worst: { 1: 50, 3: 900 } })];
    expect(besideControls(late, controls, [])).toEqual([
      { sent: 1900, ms: 400, control: 100, delay: 0, excess: 300 },
    ]);
  });

  it("counts by what it exceeds twice a control's that was too late itself", () => {
    const late = lane({ waits: [{ sent: 1000, ms: 1000 }] });
    for (const [control, excess] of [
      [200, 800],
      [201, 598],
    ] as const)
      expect(besideControls(late, [lane({ worst: { 1: control } })], [])).toMatchObject([
        { control, excess },
      ]);
  });

  it("does not count while tund had no processor", () => {
    const late = lane({ waits: [{ sent: 1000, ms: 400 }] });
    const delays = [
      [900, 10],
      [1200, 310],
      [1300, 310],
      [1500, 510],
    ] as const;
    // 200 of the first 300 ms, and 100 of the last 200.
    expect(besideControls(late, [], delays)).toMatchObject([{ delay: 300, excess: 100 }]);
  });
});

const worst = (excess: number): Worst => ({ excess, wait: null, turn: null });

describe("a scenario", () => {
  it.each([
    [[0], false],
    [[200], false],
    [[201, 300], true],
    [[201, 0, 0], false],
    [[201, 0, 201], true],
  ])("with excesses of %j is decided after as many runs: late %s", async (excesses, isLate) => {
    const left = excesses.map(worst);
    const decision = await decided(async () => left.shift() ?? worst(Infinity));
    expect(decision).toEqual({ isLate, runs: excesses.map(worst) });
  });

  it("has the waits and turns that reach into it, and what is outside every test has a place of its own", () => {
    const turn = (start: number, end: number): Turn => ({
      start,
      end,
      ms: end - start,
      cpuMs: 1,
      isOver: true,
      ran: `from ${start}`,
    });
    const wait = (sent: number, ms: number) => ({ sent, ms, control: 0, delay: 0, excess: ms });
    const seen: Seen = {
      from: 1000,
      ticks: 9,
      // The turn of its start is before the ticks.
      turns: [turn(100, 999), turn(1500, 1600), turn(2500, 2800), turn(3900, 4050)],
      waits: [wait(1500, 100), wait(2500, 300), wait(3900, 120)],
      unknown: null,
    };
    const test = (name: string, from: number, to: number) => ({ file: "f", name, from, to, failure: null });
    const tests = [test("one", 0, 1000), test("two", 3000, 4000)];
    const daemons = [{ file: "f", from: 0, to: 5000, seen, without: null }];
    const found = scenariosOf(tests, daemons, 1000);
    expect(found.map(({ name, worst: { excess, turn: longest } }) => [name, excess, longest?.ran])).toEqual([
      ["one", 100, "from 1500"],
      ["two", 120, "from 3900"],
      [null, 300, "from 2500"],
    ]);
  });
});

it("the worst of what was seen leaves out what was before the ticks", () => {
  const turn: Turn = { start: 1, end: 90, ms: 89, cpuMs: 89, isOver: true, ran: "start" };
  expect(worstOf({ from: 50, ticks: 1, waits: [], turns: [turn], unknown: null })).toEqual(worst(0));
});

it("what ran in a turn is the stack in which most of it went", () => {
  const node = (id: number, functionName: string, url: string, children: number[] = []) => ({
    id,
    callFrame: { functionName, url, lineNumber: id },
    children,
  });
  const profile: Profile = {
    startTime: 1_000_000,
    nodes: [
      node(1, "(root)", "", [2, 3, 6]),
      node(2, "(idle)", ""),
      node(3, "answer", "/x/dist/tund.cjs", [4, 5]),
      node(4, "generateKeys", "/x/node_modules/ssh2/lib/kex.js"),
      node(5, "write", "node:net"),
      node(6, "(garbage collector)", ""),
    ],
    samples: [6, 4, 4, 2, 4, 5],
    timeDeltas: [1000, 1000, 1000, 1000, 1000, 1000],
  };
  // From the second sample on, the idle one left out.
  expect(whatRan(profile, 1002, 1006)).toBe("generateKeys ssh2/lib/kex.js:5 < answer tund.cjs:4 (75 %)");
  expect(whatRan(profile, 2000, 2001)).toBe(null);
});
