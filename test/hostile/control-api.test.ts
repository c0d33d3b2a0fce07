// Clients of the control API that are no tunctl: valid exchanges of every verb, spoilt, in pieces, one behind the other.
import type { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openDescriptors } from "../support/process-figures.ts";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { call, httpBytes } from "./http.ts";
import { mutate, mutateText, NASTY_TEXTS } from "./mutate.ts";
import type { Random } from "./random.ts";
import { knock, talk } from "./talk.ts";
import { startWorld, type World } from "./world.ts";

const HOST = "hostile";
// Events, holds and conversations have no end of their own; a host that was spoilt may take a while to be looked up.
const patience = {
  ms: 2000,
  isEnough: (answer: Buffer) => /ndjson|event-stream|101 Switching/.test(answer.toString("latin1")),
};

/** What tunctl asks, for each verb. Nothing in it makes a program run, or leads to another host. */
const exchanges = (home: string): [string, string, unknown?][] => [
  ["GET", "/v1/status"],
  ["GET", "/v1/masters"],
  ["PUT", `/v1/masters/${HOST}`, {}],
  ["GET", `/v1/masters/${HOST}`],
  ["DELETE", `/v1/masters/${HOST}`],
  ["POST", `/v1/masters/${HOST}/check`],
  ["POST", `/v1/masters/${HOST}/reconnect`],
  ["POST", `/v1/masters/${HOST}/stop`],
  ["POST", `/v1/masters/${HOST}/hold`, { hold: "none" }],
  ["PUT", "/v1/holds/none", {}],
  ["GET", `/v1/forwards?host=${HOST}`],
  [
    "POST",
    "/v1/forwards",
    {
      host: HOST,
      ephemeral: true,
      forwards: [{ kind: "local", spec: `${join(home, "a.sock")}:localhost:80` }],
    },
  ],
  [
    "POST",
    "/v1/forwards",
    {
      host: HOST,
      name: "a",
      wait: false,
      forwards: [
        { kind: "remote", spec: "0:localhost:80" },
        { kind: "dynamic", spec: join(home, "d.sock") },
      ],
    },
  ],
  ["GET", "/v1/forwards/1"],
  ["DELETE", "/v1/forwards/a"],
  ["POST", "/v1/forwards/cancel", { host: HOST, all: true, drainSeconds: 0 }],
  ["POST", "/v1/resolve", { host: HOST, connection: { port: 22, user: "me", options: ["Compression=no"] } }],
  ["GET", "/metrics"],
  ["GET", `/v1/events?host=${HOST}`],
  ["POST", "/v1/host-keys/scan", { host: HOST }],
  ["POST", "/v1/doctor", { host: HOST }],
  ["POST", "/v1/conversations"],
  ["POST", "/v1/conversations/none/answers", { prompt: 1, answer: "x" }],
  ["POST", "/v1/stdio", { host: HOST, destination: "localhost:80" }],
  ["GET", "/v1/stdio/none"],
  ["GET", "/v1/hold"],
];

const HEADERS = [
  "Connection: Upgrade\r\nUpgrade: tund-hold",
  "Connection: Upgrade\r\nUpgrade: tund-stdio",
  "Expect: 100-continue",
  "Connection: Upgrade\r\nUpgrade: websocket",
  "Transfer-Encoding: chunked",
  "Content-Length: 0",
  "Content-Length: -1",
  "Content-Length: 99999999",
  "Origin: http://x",
  "Content-Type: text/plain",
  "Host: a\r\nHost: b",
  "Connection: close",
  "Content-Encoding: gzip",
  "Content-Type: application/json; charset=utf-7",
  "Transfer-Encoding: identity",
  "X: \u0001",
];

/** Spoils a body as JSON, so that it is still JSON. */
function spoiltBody(body: unknown, random: Random): unknown {
  const text = JSON.stringify(body ?? {});
  const strings = [...text.matchAll(/"[^"]*"/g)];
  if (strings.length === 0) return body;
  const { 0: found, index } = random.pick(strings);
  const other = random.pick([
    "null",
    "0",
    "-1",
    "1e99",
    "[]",
    "{}",
    "true",
    `${"[".repeat(500)}${"]".repeat(500)}`,
    JSON.stringify(random.pick(NASTY_TEXTS).toString("utf8").slice(0, 20_000)),
    JSON.stringify(mutateText(found.slice(1, -1), random)),
  ]);
  try {
    return JSON.parse(text.slice(0, index) + other + text.slice(index + found.length));
  } catch {
    return body;
  }
}

function request(valid: readonly [string, string, unknown?][], random: Random): Buffer {
  const [method, path, body] = random.pick(valid);
  const bytes = httpBytes(
    method,
    path,
    body !== undefined && random.oneIn(2) ? spoiltBody(body, random) : body,
  );
  const header = random.oneIn(4) ? `\r\n${random.pick(HEADERS)}\r\n` : "\r\n";
  const at = bytes.indexOf("\r\n");
  const whole = Buffer.concat([bytes.subarray(0, at), Buffer.from(header), bytes.subarray(at + 2)]);
  return random.oneIn(2) ? whole : mutate(whole, random);
}

describe("The control API", () => {
  let world: World;
  beforeAll(async () => {
    world = await startWorld();
    world.server.play({ accepts: "publickey" });
    await world.settle();
  });
  afterAll(() => world?.stop());

  /** Whatever was set up by the way is taken away, but for the bystander's. */
  async function clear(): Promise<void> {
    const { text } = await call(world.tund.socket, "GET", "/v1/masters");
    const { masters } = JSON.parse(text) as { masters: { host: string }[] };
    const others = masters.filter(({ host }) => host !== "bystander");
    for (const { host } of others)
      await call(world.tund.socket, "DELETE", `/v1/masters/${encodeURIComponent(host)}`);
  }

  async function isUnharmed(): Promise<void> {
    await clear();
    await world.isUnharmed();
  }

  it(
    "has an answer to whatever its clients say, and fails inside at nothing",
    { timeout: CAMPAIGN_MS },
    async () => {
      const valid = exchanges(world.tund.home);
      await run({
        kind: "control-api",
        inputs: 800,
        atOnce: 12,
        part: async (random) => {
          const said = Array.from({ length: 1 + random.below(3) }, () => request(valid, random));
          const answer = await talk(world.tund.socket, Buffer.concat(said), random, patience);
          if (answer.includes("HTTP/1.1 500"))
            throw new Error(
              `${JSON.stringify(Buffer.concat(said).toString("latin1").slice(0, 3000))}: ${answer.toString().slice(0, 1000)}`,
            );
          if (random.oneIn(200)) await clear();
          return said.length;
        },
      });
      await isUnharmed();
    },
  );

  it("has an answer to hundreds of clients that say it a byte at a time, and serves others meanwhile", async () => {
    const slow = await Promise.all(Array.from({ length: 300 }, () => knock(world.tund.socket)));
    const asked = httpBytes("GET", "/v1/masters");
    for (const byte of asked.subarray(0, -1)) {
      for (const socket of slow) socket.write(Buffer.from([byte]));
      await new Promise((resolve) => void setImmediate(resolve));
    }
    expect((await call(world.tund.socket, "GET", "/v1/status")).status).toBe(200);
    for (const socket of slow) socket.write(asked.subarray(-1));
    await Promise.all(slow.map((socket) => answered(socket)));
    for (const socket of slow) socket.destroy();
    await isUnharmed();
  });

  it.each([
    ["a body over the limit", "POST", "/v1/forwards", 10 * 1024 * 1024],
    ["an upgrade that is refused, with much behind it", "GET", "/v1/stdio/none", 256 * 1024],
    ["a body where none belongs", "GET", "/v1/status", 256 * 1024],
  ])("is left by clients with %s as it was", async (_what, method, path, bytes) => {
    const upgrade =
      method === "GET" && path !== "/v1/status" ? "Connection: Upgrade\r\nUpgrade: tund-stdio\r\n" : "";
    const head = `${method} ${path} HTTP/1.1\r\nHost: tund\r\n${upgrade}Content-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n`;
    const before = openDescriptors(world.tund.pid);
    const clients = await Promise.all(Array.from({ length: 20 }, () => knock(world.tund.socket)));
    const heard = Promise.all(clients.map((socket) => answered(socket)));
    for (const socket of clients)
      socket.resume().end(Buffer.concat([Buffer.from(head), Buffer.alloc(bytes, " ")]));
    await heard;
    // They have said all, and stay: it is the daemon that has to let go of them.
    await eventually(() => openDescriptors(world.tund.pid) <= before, { deadlineMs: 20_000 });
    for (const socket of clients) socket.destroy();
    await isUnharmed();
  });
});

function answered(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("data", () => resolve()).once("close", () => resolve()));
}
