// When hosts are dialled again, by a clock of the test's own.
import { describe, expect, it } from "vitest";
import { Attempts, type Attempt } from "../../daemon/masters/attempts.ts";
import { GoodLogins } from "../../daemon/masters/good-logins.ts";
import { Wake } from "../../daemon/masters/wake.ts";
import type { Connection } from "../../daemon/ssh/connection.ts";
import { unresolved } from "../../daemon/ssh/unresolved.ts";
import { TundError } from "../../shared/errors.ts";
import { manualClock } from "../support/clock.ts";

const KEY = "ED25519 SHA256:abc";
const config = { ...unresolved("db"), identity: "db" };
const MINUTE = 60_000;

interface World {
  isWayOpen?: boolean;
  random?: () => number;
  key?: string;
}

/** One host whose every attempt fails with what `failure` gives, as a master has it dialled. */
async function host(
  failure: () => TundError,
  { isWayOpen = true, random = Math.random, key = KEY }: World = {},
) {
  const clock = manualClock();
  const dials: { at: number; silentMs: Attempt["silentMs"] }[] = [];
  const goodLogins = new GoodLogins();
  goodLogins.note(["db"], config.identity, key);
  let isUp = true;
  let state = "connecting";
  const again = () => {
    state = "connecting";
    attempts.start(config);
  };
  const attempts: Attempts = new Attempts({
    dial: async ({ silentMs }) => {
      dials.push({ at: clock.monotonic(), silentMs });
      if (!isUp) throw failure();
      return { close: () => undefined } as unknown as Connection;
    },
    follow: (run) => run(),
    clock,
    random,
    names: new Set(["db"]),
    goodLogins,
    isWayOpen: () => isWayOpen,
    onConnection: () => void (state = "ready"),
    onFailure: (error) => {
      state = attempts.codeOf(error as TundError, config);
      if (state === "CONNECTION_LOST" || state === "HOST_UNREACHABLE") attempts.retry(again);
    },
  });
  const turn = async () => {
    for (let one = 0; one < 5; one++) await Promise.resolve();
  };
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      clock.advance(Math.min(500, left));
      await turn();
    }
  };
  const begin = async (heldMs: number) => {
    attempts.start(config);
    await turn();
    await pass(heldMs);
    isUp = false;
    attempts.lost();
    attempts.retry(again);
    dials.length = 0;
    return clock.monotonic();
  };
  return {
    clock,
    dials,
    goodLogins,
    attempts,
    pass,
    begin,
    state: () => state,
    up: () => void (isUp = true),
  };
}

const unreachable = () => new TundError("HOST_UNREACHABLE", "cannot reach db: connection refused");
const refused = (code: "AUTH_FAILED" | "PROMPT_UNANSWERED" = "AUTH_FAILED", tried = ["id (SHA256:abc)"]) =>
  new TundError(code, "authentication failed", { details: { tried } });

const gaps = (times: readonly number[], from: number) =>
  times.map((at, index) => at - (times[index - 1] ?? from));

describe("a host that was well", () => {
  it.each([() => 0, () => 0.5, () => 0.999])(
    "is dialled at least every 10 s for 15 minutes, a silent one for 5 s each; then once a minute if not sooner",
    async (random) => {
      const world = await host(unreachable, { random });
      const lost = await world.begin(MINUTE);
      await world.pass(40 * MINUTE);
      const early = world.dials.filter(({ at }) => at - lost < 15 * MINUTE);
      expect(
        Math.max(
          ...gaps(
            early.map(({ at }) => at),
            lost,
          ),
        ),
      ).toBeLessThanOrEqual(10_000);
      expect(new Set(early.map(({ silentMs }) => silentMs))).toEqual(new Set([5000]));
      const late = world.dials.filter(({ at }) => at - lost > 16 * MINUTE);
      expect(
        Math.max(
          ...gaps(
            late.map(({ at }) => at),
            lost + 16 * MINUTE,
          ),
        ),
      ).toBeLessThanOrEqual(60_500);
      expect(new Set(late.map(({ silentMs }) => silentMs))).toEqual(new Set([undefined]));
    },
  );

  it("does not begin to be well anew when its link comes and breaks at once", async () => {
    const world = await host(unreachable, { random: () => 0.999 });
    const lost = await world.begin(MINUTE);
    await world.pass(14 * MINUTE);
    world.up();
    await world.pass(11_000);
    expect(world.state()).toBe("ready");
    await world.begin(1000);
    await world.pass(10 * MINUTE);
    const late = world.dials.filter(({ at }) => at - lost > 17 * MINUTE);
    expect(late.length).toBeLessThanOrEqual(9);
  });

  it("is dialled further and further apart where something has to be started, or be there, first", async () => {
    const world = await host(unreachable, { isWayOpen: false, random: () => 0.999 });
    const lost = await world.begin(MINUTE);
    await world.pass(15 * MINUTE);
    expect(world.dials.length).toBeLessThan(25);
    expect(
      Math.max(
        ...gaps(
          world.dials.map(({ at }) => at),
          lost,
        ),
      ),
    ).toBeGreaterThan(50_000);
    expect(world.dials[0]?.silentMs).toBeUndefined();
  });

  it("that was well for less than 10 s is dialled as one that never was", async () => {
    const world = await host(unreachable, { random: () => 0.999 });
    await world.begin(5000);
    await world.pass(15 * MINUTE);
    expect(world.dials.length).toBeLessThan(25);
  });
});

describe("a login that is refused, and was accepted before", () => {
  it.each(["AUTH_FAILED", "PROMPT_UNANSWERED"] as const)(
    "is tried again after 10 s, 30 s, 2, 10, 30 and 60 minutes, then hourly, sixteen times; then it is %s",
    async (code) => {
      const world = await host(() => refused(code), { random: () => 0 });
      const lost = await world.begin(MINUTE);
      await world.pass(15 * 60 * MINUTE);
      const [first = 0, ...others] = world.dials.map(({ at }) => at);
      expect(first - lost).toBe(1000);
      const minutes = [10 / 60, 30 / 60, 2, 10, 30, 60, ...Array.from({ length: 10 }, () => 60)];
      expect(gaps(others, first)).toEqual(minutes.map((one) => one * MINUTE));
      expect(world.state()).toBe(code);
    },
  );

  it("says when it is tried again, and is not hurried by what happens meanwhile", async () => {
    const world = await host(() => refused(), { random: () => 0 });
    await world.begin(MINUTE);
    await world.pass(1500);
    expect(world.attempts.retryAt).toBe(world.clock.now() - 500 + 10_000);
    expect(world.attempts.mayHurry).toBe(false);
  });

  it("is over when it is accepted again", async () => {
    const world = await host(() => refused(), { random: () => 0 });
    await world.begin(MINUTE);
    await world.pass(5 * MINUTE);
    world.up();
    await world.pass(12 * MINUTE);
    expect(world.state()).toBe("ready");
    expect(world.attempts.mayHurry).toBe(true);
    await world.begin(MINUTE);
    await world.pass(12_000);
    expect(world.dials).toHaveLength(2);
  });

  it("wants a person at once where the key was a security key", async () => {
    const world = await host(() => refused(), { key: "ED25519-SK SHA256:abc" });
    await world.begin(MINUTE);
    await world.pass(10_000);
    expect(world.state()).toBe("PROMPT_UNANSWERED");
    expect(world.dials).toHaveLength(1);
  });

  it.each([
    ["with another configuration", { options: "other", identity: KEY }],
    ["with another key", { options: "db", identity: "RSA SHA256:other" }],
  ])("is final at once when it was accepted %s", async (_, login) => {
    const world = await host(() => refused());
    world.goodLogins.restore("db", login);
    await world.begin(MINUTE);
    await world.pass(10_000);
    expect(world.state()).toBe("AUTH_FAILED");
    expect(world.dials).toHaveLength(1);
  });

  it("is not a question that nobody answered", async () => {
    const world = await host(() => refused("PROMPT_UNANSWERED", []));
    await world.begin(MINUTE);
    await world.pass(10_000);
    expect(world.state()).toBe("PROMPT_UNANSWERED");
    expect(world.dials).toHaveLength(1);
  });
});

describe("a host that is back", () => {
  function sleepers(count: number) {
    const clock = manualClock();
    const wake = new Wake(clock);
    const dialled: { who: number; at: number }[] = [];
    const all = Array.from({ length: count }, (_, who) => ({
      state: "ready" as "ready" | "waiting" | "connecting" | "failed",
      retry() {
        this.state = "connecting";
        dialled.push({ who, at: clock.monotonic() });
        wake.changed(this);
      },
    }));
    const be = (who: number, state: "ready" | "waiting" | "failed") => {
      const one = all[who];
      if (one !== undefined) one.state = state;
      if (one !== undefined) wake.changed(one);
    };
    return { clock, dialled, be };
  }

  it("wakes all that wait, four at a time", () => {
    const { clock, dialled, be } = sleepers(12);
    for (let who = 0; who < 11; who++) be(who, "waiting");
    be(10, "failed");
    be(0, "ready");
    expect(dialled).toEqual([]);
    clock.advance(2000);
    expect(dialled.map(({ who }) => who)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(dialled.filter(({ at }) => at === 0)).toHaveLength(4);
    expect(dialled.at(-1)?.at).toBe(500);
  });

  it("wakes nobody when it was not away", () => {
    const { clock, dialled, be } = sleepers(2);
    be(1, "waiting");
    be(0, "ready");
    clock.advance(2000);
    expect(dialled).toEqual([]);
  });

  it("does not wake one without end that it has woken in vain, however often it comes and goes", () => {
    const { clock, dialled, be } = sleepers(2);
    be(1, "waiting");
    for (let time = 0; time < 3600; time += 2) {
      be(0, "waiting");
      be(0, "ready");
      clock.advance(1000);
      be(1, "waiting");
      clock.advance(1000);
    }
    const times = dialled.filter(({ who }) => who === 1).map(({ at }) => Math.round(at / 1000));
    expect(times.length).toBeLessThan(15);
    expect(times.length).toBeGreaterThan(5);
  });
});
