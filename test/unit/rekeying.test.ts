import { describe, expect, it } from "vitest";
import { Rekeying, type RekeyLimit, volumeLimit } from "../../daemon/ssh/rekeying.ts";
import { manualClock } from "../support/clock.ts";
import { makeResolver } from "../support/resolver.ts";
import { silent } from "../support/silent-log.ts";
import { makeOutside } from "../support/outside.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const AES = "aes128-gcm@openssh.com";
const CHACHA = "chacha20-poly1305@openssh.com";

function start(limit: Partial<RekeyLimit> = {}, cipher = AES) {
  const clock = manualClock();
  const traffic = { in: 5000, out: 5000 };
  const state = { begun: 0, stuck: 0 };
  const rekeying = new Rekeying(
    {
      limit: { bytes: null, ms: null, ...limit },
      clock,
      log: silent,
      traffic: () => ({ ...traffic }),
      rekey: () => state.begun++,
      onStuck: (seconds) => (state.stuck = seconds),
    },
    { in: cipher, out: cipher },
  );
  const renew = (now = cipher) => rekeying.renewed({ in: now, out: now });
  return { clock, traffic, state, rekeying, renew };
}

describe("new keys", () => {
  it.each(["in", "out"] as const)("are asked for when RekeyLimit's bytes went %s", (way) => {
    const { clock, traffic, state, renew } = start({ bytes: 16 * MIB });
    for (let round = 1; round <= 3; round++) {
      traffic[way] += 16 * MIB - 1;
      clock.advance(60_000);
      expect(state.begun).toBe(round - 1);
      traffic[way] += 1;
      clock.advance(100);
      expect(state.begun).toBe(round);
      renew();
    }
  });

  it("are not asked for because of what went both ways together", () => {
    const { clock, traffic, state } = start({ bytes: 16 * MIB });
    traffic.in += 15 * MIB;
    traffic.out += 15 * MIB;
    clock.advance(600_000);
    expect(state.begun).toBe(0);
  });

  it("are asked for when RekeyLimit's time is over, though nothing went either way", () => {
    const { clock, state, renew } = start({ ms: 3_600_000 });
    clock.advance(3_599_999);
    expect(state.begun).toBe(0);
    clock.advance(1);
    expect(state.begun).toBe(1);
    renew();
    clock.advance(3_599_999);
    expect(state.begun).toBe(1);
    clock.advance(1);
    expect(state.begun).toBe(2);
  });

  it("that the server asked for begin the count and the time anew", () => {
    const { clock, traffic, state, renew } = start({ bytes: 16 * MIB, ms: 1_000_000 });
    traffic.out += 15 * MIB;
    clock.advance(999_000);
    renew();
    traffic.out += 15 * MIB;
    clock.advance(999_999);
    expect(state.begun).toBe(0);
    clock.advance(1);
    expect(state.begun).toBe(1);
  });

  it("are asked for once, however long the server takes; after two minutes it is given up", () => {
    const { clock, traffic, state } = start({ bytes: 16 * MIB });
    traffic.out += 16 * MIB;
    clock.advance(200);
    traffic.out += 160 * MIB;
    clock.advance(119_000);
    expect(state).toEqual({ begun: 1, stuck: 0 });
    clock.advance(2000);
    expect(state).toEqual({ begun: 1, stuck: 120 });
    clock.advance(600_000);
    expect(state.begun).toBe(1);
  });

  it("are never late by more than what the fastest link carries in a tenth of a second", () => {
    const { clock, traffic, state } = start({}, CHACHA);
    for (let ms = 0; state.begun === 0; ms += 10) {
      traffic.in += Math.round(GIB / 100);
      clock.advance(10);
      expect(traffic.in - 5000).toBeLessThanOrEqual(1.1 * GIB);
    }
    expect(traffic.in - 5000).toBeGreaterThanOrEqual(GIB);
  });

  it("cost an idle link a look in a second at most, and with AES in a minute", () => {
    for (const [cipher, most] of [
      [CHACHA, 600],
      [AES, 11],
    ] as const) {
      const { clock, rekeying, state } = start({}, cipher);
      let looks = 0;
      const after = clock.after.bind(clock);
      clock.after = (ms, run) => {
        looks++;
        return after(ms, run);
      };
      clock.advance(600_000);
      expect(looks).toBeLessThanOrEqual(most);
      expect(state.begun).toBe(0);
      rekeying.stop();
    }
  });

  it("follow the cipher that the last exchange came to", () => {
    const { clock, traffic, state, renew } = start({}, AES);
    traffic.in += 2 * GIB;
    clock.advance(120_000);
    expect(state.begun).toBe(0);
    renew(CHACHA);
    traffic.in += 2 * GIB;
    clock.advance(120_000);
    expect(state.begun).toBe(1);
  });

  it("leave no timer when it is stopped, not even by keys that come afterwards", () => {
    const { clock, traffic, rekeying, renew } = start({ bytes: MIB });
    traffic.in += MIB;
    clock.advance(1000);
    rekeying.stop();
    renew();
    expect(clock.pending()).toBe(0);
  });
});

describe("the volume under the same keys", () => {
  it("is OpenSSH's where nobody chose, and never more", () => {
    expect(volumeLimit(CHACHA, null)).toBe(GIB);
    expect(volumeLimit("3des-cbc", null)).toBe(GIB);
    expect(volumeLimit(CHACHA, 4 * GIB)).toBe(GIB);
    expect(volumeLimit(CHACHA, MIB)).toBe(MIB);
    expect(volumeLimit(AES, 4 * GIB)).toBe(4 * GIB);
  });

  it("of AES is no more than 2^32 blocks, nor than 2^31 of the smallest packets", () => {
    for (const chosen of [null, 1024 * GIB]) {
      expect(volumeLimit("aes256-ctr", chosen)).toBeLessThanOrEqual(16 * 2 ** 32);
      expect(volumeLimit("aes256-ctr", chosen) / (16 + 12)).toBeLessThanOrEqual(2 ** 31);
      expect(volumeLimit("aes256-ctr", chosen)).toBeGreaterThan(50 * GIB);
    }
  });
});

describe("RekeyLimit, as ssh -G prints it,", () => {
  const person = { home: "/home/me", uid: 1000, username: "me", env: {} };
  const { files } = makeOutside();
  const resolver = makeResolver({ person, configFile: "none", controlPath: "none", files });

  it.each([
    ["default none", null, null],
    ["16M", 16 * MIB, null],
    ["1G 1h", GIB, 3_600_000],
    ["default 10", null, 10_000],
  ])("may be %s", async (value, bytes, ms) => {
    const { rekeyLimit } = await resolver.resolve("h", { options: [`RekeyLimit=${value}`] });
    expect(rekeyLimit).toEqual({ bytes, ms });
  });

  it("may be left out", async () => {
    expect((await resolver.resolve("h")).rekeyLimit).toEqual({ bytes: null, ms: null });
  });
});
