// What a person who waits is waited for, by a clock of the test's: what no person does has a deadline, and a login has the server's
// alone, as in ssh.
import { describe, expect, it } from "vitest";
import { Transaction, unheard } from "../../daemon/masters/transaction.ts";
import type { ConversationLine } from "../../shared/logins.ts";
import { eventually } from "../support/eventually.ts";
import { type Gate, proxyTo } from "../support/gate.ts";
import { asked, HOUR_MS, MINUTE_MS, startWaitingWorld, type WaitingWorld } from "../support/waiting-world.ts";

const failing = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error;

describe("a person who waits", () => {
  it("has as long as the server gives, whatever ConnectTimeout says", async () => {
    const { clock, server, registry } = await startWaitingWorld();
    server.switches.authentication = "never";
    const connected = registry.connect("asked");
    await eventually(() => expect(server.undecided()).toBe(1));
    clock.advance(HOUR_MS);
    server.admit();
    expect(await connected).toMatchObject({ state: "ready" });
  });

  it.each(["sign", "list"] as const)(
    "is waited for by an agent that asks before it does '%s'",
    async (what) => {
      const { clock, server, agent, registry } = await startWaitingWorld();
      agent.hold(what);
      const connected = registry.connect("asked");
      await eventually(() => expect(asked(agent, what)).toBe(1));
      clock.advance(HOUR_MS);
      agent.agree();
      expect(await connected).toMatchObject({ state: "ready" });
      expect(server.logins()).toBe(1);
      expect(asked(agent, what)).toBe(1);
    },
  );

  it("logs in by a file after a minute, where an agent does not even tell its keys", async () => {
    const { clock, agent, registry } = await startWaitingWorld();
    agent.hold("list");
    const connected = registry.connect("fake", {
      connection: { options: [`IdentityAgent=${agent.socket}`] },
    });
    await eventually(() => expect(asked(agent, "list")).toBe(1));
    clock.advance(MINUTE_MS);
    expect(await connected).toMatchObject({ state: "ready" });
  });

  it("is asked about a host key for as long as it takes, and the key exchange has its time all the same", async () => {
    const { clock, registry, addHost } = await startWaitingWorld();
    await addHost("fresh", [
      "UserKnownHostsFile /dev/null",
      "StrictHostKeyChecking ask",
      "IdentityFile none",
    ]);
    const lines: ConversationLine[] = [];
    registry.conversations.open((line) => void lines.push(line));
    const [opened] = lines;
    const conversation = opened?.type === "opened" ? opened.id : "";
    const connected = registry.connect("fresh", { caller: { conversation } });
    const prompt = await eventually(() => lines.find((line) => line.type === "prompt") ?? false);
    clock.advance(HOUR_MS);
    registry.conversations.answer(conversation, prompt.type === "prompt" ? prompt.id : 0, "yes");
    expect(await connected).toMatchObject({ state: "ready" });
  });

  it("has it end at once when they go, whatever it waits for", async () => {
    const { agent, registry } = await startWaitingWorld();
    agent.hold("list");
    const person = new AbortController();
    const gone = expect(registry.connect("asked", {}, new Transaction(person.signal))).rejects.toThrow(
      "nobody waits",
    );
    await eventually(() => expect(asked(agent, "list")).toBe(1));
    person.abort(unheard());
    await gone;
    await eventually(() => expect(agent.connections()).toBe(0));
    expect(await registry.masters()).toEqual([]);
  });

  it.each<[string, (gate: Gate) => string[]]>([
    ["ProxyCommand", ({ port }) => [`ProxyCommand ${proxyTo(port)}`]],
    ["jump", ({ port }) => ["ProxyJump hop", `Port ${port}`]],
  ])("is not given up behind a %s that says nothing for an hour, and begins once", async (_, settings) => {
    const { clock, gate, registry, addHost } = await startWaitingWorld();
    await addHost("hop", ["ServerAliveInterval 86400"]);
    await addHost("browser", settings(gate));
    const connected = registry.connect("browser");
    await eventually(() => expect(gate.connections()).toBe(1));
    clock.advance(HOUR_MS);
    gate.open();
    expect(await connected).toMatchObject({ state: "ready" });
    expect(gate.connections()).toBe(1);
  });
});

describe("what no person does has a limit:", () => {
  async function failure(
    { clock, gate, registry, addHost }: WaitingWorld,
    settings: (gate: Gate) => string[],
    said = "",
  ): Promise<(ms: number) => Promise<unknown>> {
    await addHost("slow", [...settings(gate)]);
    const failed = registry.connect("slow").then(
      () => undefined,
      (error: unknown) => error,
    );
    let isOver = false;
    void failed.then(() => (isOver = true));
    const version = "SSH-2.0-tund\r\n".length;
    await eventually(() => expect(gate.received()).toBe(version));
    gate.say(said);
    if (said !== "") await eventually(() => gate.received() > version); // its KEXINIT
    return async (ms) => {
      clock.advance(ms - 1000);
      await new Promise((go) => void setImmediate(go));
      expect(isOver).toBe(false);
      clock.advance(1000);
      return failed;
    };
  }

  it("a server that says nothing has thirty seconds, where nobody has set ConnectTimeout", async () => {
    const after = await failure(await startWaitingWorld(), ({ port }) => [`Port ${port}`]);
    expect(await after(30_000)).toEqual(failing("CONNECT_TIMEOUT", /no SSH version within 30 s$/));
  });

  it("ConnectTimeout holds for the version of a server behind a ProxyCommand, too", async () => {
    const after = await failure(await startWaitingWorld(), ({ port }) => [
      `ProxyCommand ${proxyTo(port)}`,
      "ConnectTimeout 7",
    ]);
    expect(await after(7000)).toEqual(failing("CONNECT_TIMEOUT", /no SSH version within 7 s$/));
  });

  it("ConnectTimeout holds for what a jump opens, too", async () => {
    const { clock, server, registry, addHost } = await startWaitingWorld();
    await addHost("hop", ["ServerAliveInterval 86400"]);
    await addHost("behind", ["ProxyJump hop", "ConnectTimeout 7"]);
    server.switches.open = "never";
    const failed = expect(registry.connect("behind")).rejects.toEqual(
      failing("HOST_UNREACHABLE", /did not answer within 7 s$/),
    );
    await eventually(() => expect(server.wanted()).toBe(1));
    clock.advance(7000);
    await failed;
  });

  it("an exchange of keys has two minutes of its own", async () => {
    const all = await startWaitingWorld();
    const after = await failure(
      all,
      ({ port }) => [`Port ${port}`, "ConnectTimeout 3000"],
      "SSH-2.0-gate\r\n",
    );
    expect(await after(120_000)).toEqual(failing("CONNECT_TIMEOUT", /no end to key exchange within 120 s$/));
  });
});

describe("who only looks at a host", () => {
  const found = async ({ registry }: WaitingWorld, subject: string) =>
    (await registry.inspection.diagnose({ host: "asked" })).find((finding) => finding.subject === subject);

  it("is not kept waiting by an agent for more than five seconds", async () => {
    const world = await startWaitingWorld();
    world.agent.hold("list");
    const looked = found(world, "identity");
    await eventually(() => expect(asked(world.agent, "list")).toBe(1));
    world.clock.advance(5000);
    expect((await looked)?.message).toMatch(/not offered: agent .*gave no list of its keys in 5 s$/);
  });

  it("is told after thirty seconds that a server has not said what it takes", async () => {
    const world = await startWaitingWorld();
    world.server.switches.authentication = "never";
    const looked = found(world, "authentication");
    await eventually(() => expect(world.server.undecided()).toBe(1));
    world.clock.advance(30_000);
    expect(await looked).toMatchObject({
      level: "note",
      message: "the server has not said yet what it takes",
    });
  });
});
