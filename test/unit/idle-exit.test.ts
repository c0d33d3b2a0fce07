// When a tund that `tunctl -M` has started ends by itself.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Holding } from "../../daemon/masters/holding.ts";
import { exitWhenIdle, idleExitMs } from "../../daemon/masters/idle-exit.ts";
import type { Listener } from "../../daemon/masters/journal.ts";
import { controlSocket } from "../support/canned-daemon.ts";
import { manualClock } from "../support/clock.ts";

const MINUTE = 60_000;

/** One with nobody in it yet. */
async function start() {
  const path = await controlSocket();
  const server = createServer().listen(path);
  await once(server, "listening");
  const clock = manualClock();
  const listeners = new Set<Listener>();
  const holding: { occupants: Holding["occupants"] } = { occupants: "nobody" };
  let exits = 0;
  const watch = (_: unknown, listener: Listener) => {
    listeners.add(listener);
    return Promise.resolve({ masters: [], forwards: [], stop: () => void listeners.delete(listener) });
  };
  const registry = { holding: holding as Holding, watch };
  exitWhenIdle({ registry, server, afterMs: MINUTE, clock, exit: () => exits++ });
  await turn();
  const open: Socket[] = [];
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return {
    clock,
    watchers: () => listeners.size,
    exits: () => exits,
    /** Somebody comes or goes. */
    becomes: async (occupants: Holding["occupants"]) => {
      holding.occupants = occupants;
      for (const { onChange } of listeners) onChange({} as never, {});
      await turn();
    },
    passes: async (ms: number) => {
      clock.advance(ms);
      await turn();
    },
    /** Opens a connection to the control socket; gives what ends it. */
    connects: async () => {
      const accepted = once(server, "connection") as Promise<[Socket]>;
      const socket = connect(path);
      open.push(socket);
      const [theirs] = await accepted;
      return async () => {
        const closed = once(theirs.resume(), "close");
        socket.destroy();
        await closed;
        await turn();
      };
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a tund that was started for a holder", () => {
  it("ends a minute after the last master is gone, and not sooner", async () => {
    const tund = await start();
    await tund.passes(MINUTE - 1);
    await tund.becomes("holders");
    await tund.passes(10 * MINUTE);
    await tund.becomes("nobody");
    await tund.passes(MINUTE - 1);
    await tund.becomes("holders");
    await tund.becomes("nobody");
    await tund.passes(MINUTE - 1);
    expect(tund.exits()).toBe(0);
    await tund.passes(1);
    expect(tund.exits()).toBe(1);
  });

  it("ends when nobody came at all", async () => {
    const tund = await start();
    await tund.passes(MINUTE);
    expect(tund.exits()).toBe(1);
  });

  it("stays for good once somebody else has asked for something, and looks no more", async () => {
    const tund = await start();
    await tund.becomes("others");
    expect(tund.watchers()).toBe(0);
    expect(tund.clock.pending()).toBe(0);
    await tund.passes(100 * MINUTE);
    expect(tund.exits()).toBe(0);
  });

  it("ends nobody's connection: it waits another minute for who has one then", async () => {
    const tund = await start();
    const ends = await tund.connects();
    await tund.passes(MINUTE);
    await tund.passes(MINUTE);
    expect(tund.exits()).toBe(0);
    await ends();
    await tund.passes(MINUTE - 1);
    expect(tund.exits()).toBe(0);
    await tund.passes(1);
    expect(tund.exits()).toBe(1);
  });
});

it.each([
  [["--while-held", "60"], 60_000],
  [["--while-held", "0"], 0],
  [["--while-held"], null],
  [["--while-held", "x"], null],
  [["--while-held", "1", "2"], null],
  [["--help"], null],
  [[], null],
])("tund %j", (argv, ms) => {
  expect(idleExitMs(argv)).toBe(ms);
});
