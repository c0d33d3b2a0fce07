// Clients of SOCKS and HTTP CONNECT that do not keep to either, at a dynamic forward and at a remote one.
import type { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseHttpConnect } from "../../daemon/forwards/http-connect.ts";
import { parseSocks4, parseSocks5Greeting, parseSocks5Request } from "../../daemon/forwards/socks.ts";
import { eventually } from "../support/eventually.ts";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { call } from "./http.ts";
import { mutate } from "./mutate.ts";
import { message, MSG } from "./peer.ts";
import type { Random } from "./random.ts";
import type { Session } from "./session.ts";
import { knock, talk } from "./talk.ts";
import { startWorld, type World } from "./world.ts";

const name = Buffer.from("localhost");
const SOCKS4 = Buffer.from([4, 1, 0, 80, 127, 0, 0, 1, 0x6d, 0x65, 0]);
const SOCKS4A = Buffer.concat([Buffer.from([4, 1, 0, 80, 0, 0, 0, 1, 0]), name, Buffer.alloc(1)]);
const GREETING = Buffer.from([5, 2, 0, 2]);
const SOCKS5 = Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, 0, 80]);
const SOCKS5_NAME = Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, Buffer.from([0, 80])]);
const SOCKS5_V6 = Buffer.concat([Buffer.from([5, 1, 0, 4]), Buffer.alloc(15), Buffer.from([1, 0, 80])]);
const HTTP = Buffer.from(
  "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\nProxy-Connection: keep-alive\r\n\r\n",
);
const HTTP_V6 = Buffer.from("CONNECT [::1]:80 HTTP/1.0\r\n\r\n");
const MORE = Buffer.from("and what comes behind it");

const REQUESTS = [SOCKS4, SOCKS4A, SOCKS5, SOCKS5_NAME, SOCKS5_V6, HTTP, HTTP_V6, GREETING];
const EXCHANGES = [
  SOCKS4,
  SOCKS4A,
  HTTP,
  HTTP_V6,
  ...[SOCKS5, SOCKS5_NAME, SOCKS5_V6].map((request) => Buffer.concat([GREETING, request])),
].map((exchange) => Buffer.concat([exchange, MORE]));

const parsers = [parseSocks4, parseSocks5Greeting, parseSocks5Request, parseHttpConnect];
// What any of them may ask to be kept until it is answered (RFC 1928 has no longer request; a head has 16 KiB).
const MOST_KEPT = 17 * 1024;

const words = (random: Random): Buffer => {
  const valid = random.pick(EXCHANGES);
  return random.oneIn(5) ? valid : mutate(valid, random);
};

/** Whether a parser stays with its answer, however the bytes come. */
function isConsistent(parse: (typeof parsers)[number], bytes: Buffer, random: Random): void {
  const whole = parse(bytes);
  if (whole.kind === "more") expect(bytes.length).toBeLessThanOrEqual(MOST_KEPT);
  if (whole.kind !== "done") return;
  expect(whole.length).toBeLessThanOrEqual(bytes.length);
  expect(parse(bytes.subarray(0, whole.length))).toEqual(whole);
  expect(parse(bytes.subarray(0, random.below(whole.length))).kind).not.toBe("done");
}

describe("The parsers of SOCKS and HTTP CONNECT", () => {
  it(
    "have an answer to any bytes, and the same one however they come",
    { timeout: CAMPAIGN_MS },
    async () => {
      await run({
        kind: "proxies-parsed",
        inputs: 20_000,
        part: (random) => {
          for (let left = 100; left > 0; left--)
            isConsistent(random.pick(parsers), mutate(random.pick(REQUESTS), random), random);
          return 100;
        },
      });
    },
  );
});

describe("A proxy", () => {
  let world: World;
  let session: Session;
  const door = () => join(world.tund.home, "d.sock");

  beforeAll(async () => {
    world = await startWorld();
    world.server.play({ accepts: "publickey", before: (_stage, now) => ((session = now), false) });
    const forwards = [
      { kind: "dynamic", spec: door() },
      { kind: "remote", spec: "0" },
    ];
    const opened = await call(world.tund.socket, "POST", "/v1/forwards", { host: "hostile", forwards });
    expect(opened.text).toContain('"active"');
  });
  afterAll(() => world?.stop());

  // What each scenario leaves behind is compared with this.
  const settle = () => world.settle();

  it("has an answer to whatever its clients say", { timeout: CAMPAIGN_MS }, async () => {
    await settle();
    await run({
      kind: "proxies",
      inputs: 1000,
      atOnce: 8,
      part: async (random) => {
        await talk(door(), words(random), random);
        return 1;
      },
    });
    await isUnharmed();
  });

  it("has an answer to hundreds of clients that say it a byte at a time, and serves others meanwhile", async () => {
    await settle();
    const slow = await Promise.all(Array.from({ length: 300 }, () => knock(door())));
    const exchange = Buffer.concat([GREETING, SOCKS5_NAME]);
    for (const byte of exchange.subarray(0, -1)) {
      for (const socket of slow) socket.write(Buffer.from([byte]));
      await new Promise((resolve) => void setImmediate(resolve));
    }
    const granted = await knock(door());
    granted.write(Buffer.concat([exchange, Buffer.from("echo")]));
    expect((await received(granted, 16)).subarray(12).toString()).toBe("echo");
    for (const socket of slow) socket.write(exchange.subarray(-1));
    const answers = await Promise.all(slow.map((socket) => received(socket, 12)));
    expect(new Set(answers.map((answer) => answer[3]))).toEqual(new Set([0]));
    for (const socket of [...slow, granted]) socket.destroy();
    await isUnharmed();
  });

  it("has an answer to whatever comes by the server", { timeout: CAMPAIGN_MS }, async () => {
    await settle();
    let next = 1000;
    const watchers = watchChannels(session);
    await run({
      kind: "proxies-remote",
      inputs: 400,
      atOnce: 8,
      part: async (random) => {
        await throughServer(session, { watchers, id: next++, bytes: words(random) });
        return 1;
      },
    });
    await isUnharmed();
  });

  // The link stays: what is closed by it is not looked at.
  async function isUnharmed(): Promise<void> {
    await world.isUnharmed({ keepsLinks: true });
  }
});

async function received(socket: Socket, bytes: number): Promise<Buffer> {
  let got = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => (got = Buffer.concat([got, chunk])));
  await eventually(() => got.length >= bytes, { deadlineMs: 20_000 });
  return got;
}

/** What comes of the channels that a server opens, by its number of each. */
type Watchers = Map<number, (payload: Buffer) => void>;

/** Has each channel's messages told to whoever watches it. */
function watchChannels({ peer }: Session): Watchers {
  const watchers: Watchers = new Map();
  const before = peer.onPayload;
  peer.onPayload = (payload) => {
    before(payload);
    if ((payload[0] ?? 0) > 90 && payload.length >= 5) watchers.get(payload.readUInt32BE(1))?.(payload);
  };
  peer.socket.once("close", () => {
    for (const tell of watchers.values()) tell(Buffer.from([MSG.CHANNEL_CLOSE]));
  });
  return watchers;
}

/** Opens a channel to the listener of the remote forward, says it, and waits until the channel is closed. */
async function throughServer(
  { peer, facts }: Session,
  { watchers, id, bytes }: { watchers: Watchers; id: number; bytes: Buffer },
): Promise<void> {
  const [listener] = facts.listeners;
  if (listener === undefined) throw new Error("nothing listens");
  const closed = new Promise<void>((resolve) => {
    watchers.set(id, (payload) => {
      if (payload[0] === MSG.CHANNEL_OPEN_CONFIRMATION) {
        const ours = payload.readUInt32BE(5);
        peer.send(message(MSG.CHANNEL_DATA, ours, bytes));
        peer.send(message(MSG.CHANNEL_EOF, ours));
      }
      if (payload[0] === MSG.CHANNEL_CLOSE || payload[0] === 92) resolve();
    });
  });
  const where = message(0, listener.address, listener.port, "10.0.0.1", 4711).subarray(1);
  peer.send(Buffer.concat([message(90, "forwarded-tcpip", id, 1 << 20, 32_768), where]));
  await closed;
  watchers.delete(id);
}
