// Clients of a mux socket that are no ssh, and ssh itself with requests that no master here takes.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decode, MAX_PACKET } from "../../daemon/mux/protocol.ts";
import { forwardToClose, forwardToOpen } from "../../daemon/mux/forward-request.ts";
import type { Master } from "../../shared/records.ts";
import { TundError } from "../../shared/errors.ts";
import { eventually } from "../support/eventually.ts";
import { HELLO, packet } from "../support/mux.ts";
import { run as runProgram } from "../support/run.ts";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { call } from "./http.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";
import { knock, talk } from "./talk.ts";
import { startWorld, type World } from "./world.ts";

const STREAMLOCAL = 0xfffffffe;
const OPEN = 0x10000006;
const CLOSE = 0x10000007;
const ID = 7;

const requests = (home: string): Buffer[] => [
  HELLO,
  packet(1, 4, "info", "0"),
  packet(0x10000004, ID),
  packet(OPEN, ID, 1, "127.0.0.1", 0, "localhost", 80),
  packet(OPEN, ID, 2, "", 0, "127.0.0.1", 80),
  packet(OPEN, ID, 3, "127.0.0.1", 0, "", 0),
  packet(OPEN, ID, 1, join(home, "m.sock"), STREAMLOCAL, join(home, "n"), STREAMLOCAL),
  packet(CLOSE, ID, 1, join(home, "m.sock"), STREAMLOCAL, join(home, "n"), STREAMLOCAL),
  packet(CLOSE, ID, 1, "127.0.0.1", 8080, "localhost", 80),
  packet(0x10000002, ID, "", 0, 0, 0, 0, 0, "xterm", "true", "LANG=C"),
  packet(0x10000008, ID, "", "localhost", 80),
  packet(0x1000000f, ID),
  packet(0x20000001, ID, "connection"),
  packet(0x20000001, ID, "channels"),
  packet(0x30000000, ID),
];

const exchange = (valid: readonly Buffer[], random: Random): Buffer => {
  const said = Array.from({ length: 1 + random.below(4) }, () => random.pick(valid));
  const spoilt = said.map((one) => (random.oneIn(2) ? one : mutate(one, random)));
  const whole = Buffer.concat([random.oneIn(8) ? Buffer.alloc(0) : HELLO, ...spoilt]);
  return random.oneIn(4) ? mutate(whole, random) : whole;
};

/** What it has an answer to, it has had to the end: nothing is thrown, and nothing without a bound is waited for. */
function isDecoded(bytes: Buffer): void {
  const decoded = decode(bytes);
  if (decoded.kind === "partial") return expect(bytes.length).toBeLessThan(4 + MAX_PACKET + 3);
  if (decoded.kind === "broken") return expect(decoded.why).not.toBe("");
  expect(decoded.length).toBeLessThanOrEqual(bytes.length);
  const { message } = decoded;
  if (message.type !== "open-forward" && message.type !== "close-forward") return;
  try {
    (message.type === "open-forward" ? forwardToOpen : forwardToClose)(message.forward);
  } catch (error) {
    if (!(error instanceof TundError)) throw error;
  }
}

describe("The parser of the mux protocol", () => {
  it("has an answer to any bytes", { timeout: CAMPAIGN_MS }, async () => {
    const valid = requests("/home");
    await run({
      kind: "mux-parsed",
      inputs: 20_000,
      part: (random) => {
        for (let left = 100; left > 0; left--) isDecoded(mutate(random.pick(valid), random));
        return 100;
      },
    });
  });
});

describe("A mux socket", () => {
  let world: World;
  let door: string;

  const api = (method: string, path: string, body?: unknown) => call(world.tund.socket, method, path, body);

  /** The master is up, whoever has it exit meanwhile. */
  async function linked(): Promise<void> {
    await eventually(
      async () => {
        const { status, text } = await api("PUT", "/v1/masters/hostile", {});
        if (status !== 200) throw new Error(text);
        door = (JSON.parse(text) as Master).muxSocket ?? "";
      },
      { deadlineMs: 20_000 },
    );
  }

  beforeAll(async () => {
    world = await startWorld();
    world.server.play({ accepts: "publickey" });
    await linked();
    await world.settle();
  });
  afterAll(() => world?.stop());

  async function isUnharmed(): Promise<void> {
    await linked();
    await api("POST", "/v1/forwards/cancel", { host: "hostile", all: true });
    await world.isUnharmed({ keepsLinks: true });
  }

  it("has an answer to whatever its clients say", { timeout: CAMPAIGN_MS }, async () => {
    const valid = requests(world.tund.home);
    await run({
      kind: "mux",
      inputs: 800,
      atOnce: 4,
      part: async (random) => {
        try {
          await talk(door, exchange(valid, random), random);
        } catch {
          await linked(); // somebody had it exit
        }
        return 1;
      },
    });
    await isUnharmed();
  });

  it("has an answer to ssh with a session, a command and its descriptors", async () => {
    const wanted = [
      ["-T", "x"],
      ["-t", "-t", "x"],
      ["x", "true"],
      ["-W", "localhost:80", "x"],
      ["-N", "x"],
      ["-O", "proxy", "x"],
    ];
    for (const args of [...wanted, ...wanted]) {
      // Its own way would lead to nobody.
      const options = ["-F", "none", "-S", door, "-o", "ProxyCommand=false", "-o", "BatchMode=yes"];
      await runProgram("ssh", [...options, ...args]);
    }
    await isUnharmed();
  });

  it("has an answer to hundreds of clients that say it a byte at a time, and serves others meanwhile", async () => {
    const slow = await Promise.all(Array.from({ length: 200 }, () => knock(door)));
    for (const byte of HELLO) for (const socket of slow) socket.write(Buffer.from([byte]));
    for (const socket of slow) socket.write(packet(0x10000004, ID).subarray(0, -1));
    const checked = await runProgram("ssh", ["-F", "none", "-S", door, "-O", "check", "x"]);
    expect(checked.stderr).toContain(`pid=${world.tund.pid}`);
    for (const socket of slow) socket.destroy();
    await isUnharmed();
  });
});
