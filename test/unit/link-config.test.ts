// What ssh_config says of the link: read from what `ssh -G` prints, of any release.
import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { type ChannelTimeout, channelTimeouts, IdleChannels } from "../../daemon/ssh/channel-timeouts.ts";
import { linkConfig } from "../../daemon/ssh/link-config.ts";
import { parseSettings } from "../../daemon/ssh/settings.ts";
import { manualClock } from "../support/clock.ts";
import { silent } from "../support/silent-log.ts";

const linkOf = (printed: string, byDefault = "ipqos lowdelay throughput\n") =>
  linkConfig(parseSettings(printed), parseSettings(byDefault), "h");

describe("the class of traffic", () => {
  it.each([
    ["ipqos lowdelay throughput", null],
    ["", null],
    ["ipqos ef cs0", 0],
    ["ipqos ef ef", 0xb8],
    ["ipqos af21 cs1", 0x20],
    ["ipqos none none", null],
    ["ipqos lowdelay 0x4", 4],
    ["ipqos lowdelay af43", 0x98],
    ["ipqos lowdelay cs7", 0xe0],
    ["ipqos lowdelay 0x1ff", null],
  ])("that '%s' means is %s", (printed, value) => {
    expect(linkOf(`${printed}\n`).trafficClass).toBe(value);
  });

  it("is the system's where a newer ssh has said its own default", () => {
    expect(linkOf("ipqos ef cs0\n", "ipqos ef cs0\n").trafficClass).toBeNull();
  });
});

describe("the times of channels", () => {
  it("are read in every unit, and 0 is never", () => {
    expect(channelTimeouts("direct-tcpip=5m *=1h30 global=10 session=0 x=1w2d3h4m5s y=1H")).toEqual([
      { pattern: "direct-tcpip", ms: 300_000 },
      { pattern: "*", ms: 3_630_000 },
      { pattern: "global", ms: 10_000 },
      { pattern: "session", ms: Infinity },
      { pattern: "x", ms: 788_645_000 },
      { pattern: "y", ms: 3_600_000 },
    ]);
    expect(channelTimeouts("none")).toEqual([]);
    expect(channelTimeouts("")).toEqual([]);
  });

  class Carried extends EventEmitter {
    bytesRead = 0;
    bytesWritten = 0;
    endedAt: number | null = null;
    readonly #clock: { monotonic(): number };
    constructor(clock: { monotonic(): number }) {
      super();
      this.#clock = clock;
    }
    destroy(): void {
      this.endedAt ??= this.#clock.monotonic();
      this.emit("close");
    }
  }

  function watching(timeouts: readonly ChannelTimeout[]) {
    const clock = manualClock();
    const idle = new IdleChannels({ timeouts, clock, log: silent });
    const watch = (type: Parameters<IdleChannels["watchOf"]>[0]) => {
      const carried = new Carried(clock);
      idle.watchOf(type)?.(carried);
      return carried;
    };
    return { clock, watch };
  }

  it("are kept within an eighth of themselves, by the first pattern that fits", () => {
    const { clock, watch } = watching(channelTimeouts("direct-*=80 *=0 forwarded-tcpip=1"));
    const [idle, busy, other] = [watch("direct-tcpip"), watch("direct-tcpip"), watch("forwarded-tcpip")];
    for (let second = 0; second < 200; second++) {
      busy[second % 2 === 0 ? "bytesRead" : "bytesWritten"]++;
      clock.advance(1000);
    }
    expect(idle.endedAt).toBeGreaterThanOrEqual(80_000);
    expect(idle.endedAt).toBeLessThanOrEqual(90_000);
    expect([busy.endedAt, other.endedAt]).toEqual([null, null]);
    busy.destroy();
    expect(clock.pending()).toBe(0);
  });

  it("of all together is over when none has carried anything, and wildcards do not mean it", () => {
    const { clock, watch } = watching(channelTimeouts("global=8"));
    const [one, two] = [watch("direct-tcpip"), watch("forwarded-tcpip")];
    for (let second = 0; second < 20; second++) {
      one.bytesRead++;
      clock.advance(1000);
    }
    expect([one.endedAt, two.endedAt]).toEqual([null, null]);
    clock.advance(10_000);
    expect(one.endedAt).toBe(two.endedAt);
    expect(one.endedAt).toBeGreaterThanOrEqual(27_000);
    expect(watching(channelTimeouts("glob*=1")).watch("direct-tcpip").listenerCount("close")).toBe(0);
  });

  it("are kept for hundreds of channels, a share of which is looked at in a turn", () => {
    const { clock, watch } = watching(channelTimeouts("*=8"));
    const many = Array.from({ length: 1000 }, () => watch("direct-tcpip"));
    clock.advance(9000);
    expect(many.filter(({ endedAt }) => endedAt === null)).toEqual([]);
    expect(clock.pending()).toBe(0);
  });

  it("cost nothing where there are none", () => {
    const { clock, watch } = watching([]);
    expect(watch("direct-tcpip").listenerCount("close")).toBe(0);
    expect(clock.pending()).toBe(0);
  });
});

describe("what is set and not done", () => {
  it("is said of the host, and only of what somebody has chosen", () => {
    const chosen =
      "permitlocalcommand yes\nlocalcommand true\ntunnel point-to-point\nverifyhostkeydns true\n";
    expect(linkOf(chosen).unfollowed.map((line) => line.split(":")[0])).toEqual([
      "LocalCommand of h is not obeyed",
      "Tunnel of h is not obeyed",
      "VerifyHostKeyDNS of h is not obeyed",
    ]);
    const untouched =
      "permitlocalcommand no\nlocalcommand true\ntunnel false\nverifyhostkeydns false\nfingerprinthash SHA256\n";
    expect(linkOf(untouched).unfollowed).toEqual([]);
  });
});
