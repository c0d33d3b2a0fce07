// Servers that say too much, too big, too often or too small after the login: the daemon lives, keeps within its memory and its
// descriptors, and the hosts beside them notice nothing.
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, it } from "vitest";
import { sshString } from "../../daemon/wire-format.ts";
import { type LoopbackServer, sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { flood, settled } from "./flood.ts";
import { call } from "./http.ts";
import { message, MSG } from "./peer.ts";
import type { Play, Session } from "./session.ts";
import { startWorld, type World } from "./world.ts";

const MB = 1024 * 1024;
const TEXT = Buffer.alloc(30_000, "x");
const yes = Buffer.from([1]);
const no = Buffer.from([0]);
const HOST = "/v1/masters/hostile";

let world: World;
let source: LoopbackServer;

beforeAll(async () => {
  // What it sends has to go out by whatever channel the server opens.
  [world, source] = await Promise.all([startWorld(), sourceServer(4096)]);
});
// What one of them has broken is not the next one's trouble.
afterEach(async ({ task }) => {
  if (task.result?.state !== "fail") return;
  await world.stop();
  world = await startWorld();
});
afterAll(async () => {
  await world?.stop();
  await source?.close();
});

const exit = () => call(world.tund.socket, "DELETE", HOST, undefined).catch(() => undefined);

describe("After the login", () => {
  let session: Session;
  const path = (name: string) => join(world.tund.home, name);

  /** Logs in with a forward each way, and has a connection to the local one. */
  async function linked(play: Omit<Play, "accepts"> = {}): Promise<void> {
    world.server.play({
      accepts: "publickey",
      ...play,
      before: (stage, now) => {
        if (stage === "ready") session = now;
        return play.before?.(stage, now) ?? false;
      },
    });
    const forwards = [
      { kind: "local", spec: `${path("l.sock")}:127.0.0.1:7` },
      { kind: "remote", spec: `0:127.0.0.1:${source.port}` },
    ];
    const opened = await call(world.tund.socket, "POST", "/v1/forwards", {
      host: "hostile",
      forwards,
      ephemeral: true,
    });
    if (opened.status !== 200) throw new Error(opened.text);
    await world.settle();
    const client = connect(path("l.sock"));
    client.on("error", () => undefined).resume();
    client.write("hello");
    await eventually(() => session.facts.channels.length > 0);
  }

  beforeEach(() => linked());
  afterEach(exit);

  const opens = (maxPacket: number, window: number) => (count: number) => {
    const [listener] = session.facts.listeners;
    if (listener === undefined) throw new Error("nothing listens");
    return Buffer.concat([
      message(90, "forwarded-tcpip", count, window, maxPacket),
      message(0, listener.address, listener.port, "10.0.0.1", 4711).subarray(1),
    ]);
  };
  const ours = () => session.facts.channels[0] ?? 0;

  interface Late {
    what: string;
    make: (count: number) => Buffer;
    messages: number;
    isDeaf?: boolean;
    /** types of messages, one of which shows that what was sent has had its effect */
    effects?: readonly number[];
  }

  // CHANNEL_OPEN_FAILURE, CHANNEL_DATA, CHANNEL_CLOSE
  const opened = [92, 94, 97];

  const late: Late[] = [
    {
      what: "global requests whose answers it does not read",
      make: () => Buffer.concat([message(80, "x"), yes]),
      messages: 20_000,
      isDeaf: true,
    },
    {
      what: "channel requests whose answers it does not read",
      make: () => Buffer.concat([message(98, ours(), "x"), yes]),
      messages: 20_000,
      isDeaf: true,
    },
    {
      what: "channels of a kind that nobody knows",
      make: (count) => message(90, "x11", count, 1, 32_768),
      messages: 20_000,
      isDeaf: true,
    },
    {
      what: "channels to its listener",
      make: (count) => opens(32_768, 1 << 20)(count),
      messages: 20_000,
      isDeaf: true,
    },
    {
      what: "channels whose packets have no size",
      make: (count) => opens(0, 1 << 20)(count),
      messages: 20,
      effects: opened,
    },
    {
      what: "channels whose packets have room for a byte",
      make: (count) => opens(1, 0xffffffff)(count),
      messages: 20,
      effects: opened,
    },
    { what: "windows beyond 2^32", make: () => message(93, ours(), 0xffffffff), messages: 1000 },
    { what: "windows of channels that never were", make: (count) => message(93, count, 1), messages: 1000 },
    { what: "more data than it was granted", make: () => message(94, ours(), TEXT), messages: 3000 },
    {
      what: "data of channels that never were",
      make: (count) => message(94, 0x10000 + count, TEXT),
      messages: 100,
    },
    { what: "data of no length", make: () => message(94, ours(), ""), messages: 50_000 },
    { what: "extended data", make: () => message(95, ours(), 1, TEXT), messages: 3000 },
    { what: "ends of the same channel", make: () => message(96, ours()), messages: 1000 },
    { what: "closes of the same channel", make: () => message(97, ours()), messages: 1000 },
    { what: "answers that nobody asked for", make: (count) => message(81 + (count % 2)), messages: 20_000 },
    {
      what: "confirmations that nobody asked for",
      make: (count) => message(91, count, count, 1, 1),
      messages: 1000,
    },
    {
      what: "host keys",
      make: () =>
        Buffer.concat([
          message(80, "hostkeys-00@openssh.com"),
          no,
          ...Array.from({ length: 400 }, () => sshString(session.peer.hostKeyBlob)),
        ]),
      messages: 500,
    },
    { what: "banners", make: () => message(53, TEXT, ""), messages: 3000 },
    { what: "KEXINIT", make: () => session.peer.kexInit(), messages: 1000 },
  ];

  /** Settles when one of these has come, or the connection is over, or nothing comes any more. */
  function heard(types: readonly number[]): Promise<void> {
    const { peer } = session;
    const before = peer.onPayload;
    let isHeard = false;
    peer.onPayload = (payload) => {
      isHeard ||= types.includes(payload[0] ?? 0);
      before(payload);
    };
    return eventually(() => isHeard || peer.socket.destroyed).then(
      () => undefined,
      () => undefined, // what it is busy with is seen by what follows
    );
  }

  it.each(late)(
    "a server floods the daemon with $what, and nobody is harmed",
    async ({ make, messages, isDeaf = false, effects = [] }) => {
      const { peer } = session;
      const isFelt = effects.length === 0 ? undefined : heard(effects);
      if (isDeaf) peer.socket.pause();
      let left = messages;
      await flood(peer, (count) => (--left, make(count)), { bytes: 256 * MB, until: () => left <= 0 });
      peer.socket.resume();
      await isFelt;
      // What was asked last is under way still.
      await eventually(async () => (await call(world.tund.socket, "GET", "/v1/status")).status === 200, {
        deadlineMs: 30_000,
      });
      await exit();
      await world.isUnharmed();
    },
  );

  it("a server has the keys exchanged all the time, and nobody is harmed", async () => {
    const { peer } = session;
    let exchanged = 0;
    const over = settled();
    const onPayload = peer.onPayload;
    peer.onPayload = (payload) => {
      onPayload(payload);
      if (payload[0] !== MSG.NEWKEYS) return;
      if (++exchanged < 200 && !peer.socket.destroyed) peer.exchangeKeys();
      else over.settle();
    };
    peer.socket.once("close", over.settle);
    peer.exchangeKeys();
    await over.promise;
    await exit();
    await world.isUnharmed();
  });
});
