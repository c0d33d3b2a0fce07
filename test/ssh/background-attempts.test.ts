// Attempts that nobody waits for, by a clock of the test's: they end ten minutes after their start, and ask nobody twice.
import type { Connection } from "ssh2";
import { describe, expect, it, onTestFinished } from "vitest";
import { Transaction, unheard } from "../../daemon/masters/transaction.ts";
import type { ConversationLine } from "../../shared/logins.ts";
import { manualClock } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { proxyTo } from "../support/gate.ts";
import { startInProcess } from "../support/in-process.ts";
import { startRawServer } from "../support/raw-server.ts";
import { asked, HOUR_MS, MINUTE_MS, startWaitingWorld } from "../support/waiting-world.ts";

describe("what nobody waits for", () => {
  it("ends ten minutes after its start, and is tried again", async () => {
    const { clock, server, registry, settled } = await startWaitingWorld();
    server.switches.authentication = "never";
    registry.keep("asked");
    await eventually(() => expect(server.undecided()).toBe(1));
    clock.advance(10 * MINUTE_MS - 1000);
    expect((await settled("asked", "connecting")).failure).toBeNull();
    clock.advance(1000);
    expect(await settled("asked", "waiting")).toMatchObject({
      failure: {
        code: "CONNECT_TIMEOUT",
        message: expect.stringMatching(/not logged in within 10 minutes$/) as string,
      },
    });
    clock.advance(MINUTE_MS);
    await eventually(() => expect(server.undecided()).toBe(2));
  });

  it("has ten minutes behind a ProxyCommand that says nothing, and one start", async () => {
    const { clock, gate, registry, settled, addHost } = await startWaitingWorld();
    await addHost("browser", [`ProxyCommand ${proxyTo(gate.port)}`]);
    registry.keep("browser");
    await eventually(() => expect(gate.connections()).toBe(1));
    clock.advance(9 * MINUTE_MS);
    gate.open();
    await settled("browser", "ready");
    expect(gate.connections()).toBe(1);
  });

  it("has ten minutes for what a jump opens", async () => {
    const { clock, server, registry, settled, addHost } = await startWaitingWorld();
    await addHost("hop", ["ServerAliveInterval 86400"]);
    await addHost("behind", ["ProxyJump hop"]);
    server.switches.open = "never";
    registry.keep("behind");
    await eventually(() => expect(server.wanted()).toBe(1));
    clock.advance(9 * MINUTE_MS);
    await settled("behind", "connecting");
    clock.advance(MINUTE_MS);
    expect(await settled("behind", "waiting")).toMatchObject({ failure: { code: "CONNECT_TIMEOUT" } });
  });

  it("goes on for as long as somebody waits for it, and ends when they have gone", async () => {
    const { clock, server, registry, settled } = await startWaitingWorld();
    server.switches.authentication = "never";
    const person = new AbortController();
    const gone = expect(registry.connect("asked", {}, new Transaction(person.signal))).rejects.toThrow(
      "nobody waits",
    );
    await eventually(() => expect(server.undecided()).toBe(1));
    const forwards = [{ kind: "local" as const, spec: `${await freePort()}:127.0.0.1:1` }];
    await registry.openForwards({ host: "asked", forwards, wait: false }); // for which it goes on in the background
    clock.advance(HOUR_MS);
    await settled("asked", "connecting");
    person.abort(unheard());
    await gone;
    clock.advance(10_000);
    expect(await settled("asked", "waiting")).toMatchObject({ failure: { code: "CONNECT_TIMEOUT" } });
    expect(server.undecided()).toBe(1);
  });

  it.each(["sign", "list"] as const)(
    "is blocked when an agent has not answered by then ('%s'), and does not ask again",
    async (what) => {
      const { clock, agent, registry, settled } = await startWaitingWorld();
      agent.hold(what);
      registry.keep("asked");
      await eventually(() => expect(asked(agent, what)).toBe(1));
      clock.advance(10 * MINUTE_MS);
      const told =
        what === "sign" ? /it waited for a signature by agent key/ : /it waited for the keys of the agent/;
      expect(await settled("asked", "blocked")).toMatchObject({
        failure: { code: "PROMPT_UNANSWERED", message: expect.stringMatching(told) as string },
        retryAt: null,
      });
      clock.advance(HOUR_MS);
      expect(asked(agent, what)).toBe(1);
    },
  );

  it("is blocked with the hop that leads there, when it is that which asks somebody", async () => {
    const { clock, agent, registry, settled, addHost } = await startWaitingWorld();
    await addHost("behind", ["ProxyJump asked"]);
    agent.hold("sign");
    registry.keep("behind");
    await eventually(() => expect(asked(agent, "sign")).toBe(1));
    clock.advance(11 * MINUTE_MS);
    expect(await settled("behind", "blocked")).toMatchObject({
      failure: { message: expect.stringMatching(/^by way of asked: .*it waited for a signature/) as string },
    });
    clock.advance(HOUR_MS);
    expect(asked(agent, "sign")).toBe(1);
  });

  it("is blocked when the link is lost while the agent asks somebody: it is not asked again", async () => {
    const { clock, server, agent, registry, settled } = await startWaitingWorld();
    agent.hold("sign");
    registry.keep("asked");
    await eventually(() => expect(asked(agent, "sign")).toBe(1));
    server.drop();
    const ticking = setInterval(() => clock.advance(500), 5);
    onTestFinished(() => clearInterval(ticking));
    expect(await settled("asked", "blocked")).toMatchObject({
      failure: {
        code: "PROMPT_UNANSWERED",
        message: expect.stringMatching(/while it waited for a signature by .*tunctl connect asked/) as string,
      },
    });
    clock.advance(HOUR_MS);
    expect(asked(agent, "sign")).toBe(1);
    // A person has it dial again, and the agent ask again.
    const connected = registry.connect("asked");
    await eventually(() => expect(asked(agent, "sign")).toBe(2));
    agent.agree();
    expect(await connected).toMatchObject({ state: "ready" });
  });

  it("is tried again when the link is lost and the agent answers all the same: it asked nobody", async () => {
    const { server, agent, registry, settled } = await startWaitingWorld();
    agent.hold("sign");
    registry.keep("asked");
    await eventually(() => expect(asked(agent, "sign")).toBe(1));
    server.drop();
    agent.agree();
    expect(await settled("asked", "waiting")).toMatchObject({ failure: { code: "CONNECTION_LOST" } });
  });

  it("is blocked when somebody was asked by the agent and did not agree", async () => {
    const { clock, agent, registry, settled } = await startWaitingWorld();
    agent.hold("sign");
    registry.keep("asked");
    await eventually(() => expect(asked(agent, "sign")).toBe(1));
    clock.advance(5000);
    agent.refuse();
    expect(await settled("asked", "blocked")).toMatchObject({
      failure: {
        message: expect.stringMatching(/nobody agreed to the use of agent key .*tunctl connect/) as string,
      },
    });
    clock.advance(HOUR_MS);
    expect(asked(agent, "sign")).toBe(1);
  });

  it("fails when the agent refuses at once: there was nobody to agree", async () => {
    const { agent, registry, settled } = await startWaitingWorld();
    agent.hold("sign");
    registry.keep("asked");
    await eventually(() => expect(asked(agent, "sign")).toBe(1));
    agent.refuse();
    expect(await settled("asked", "failed")).toMatchObject({ failure: { code: "AUTH_FAILED" } });
  });
});

describe("an answer that is remembered", () => {
  it("is given once, where the server has somebody asked elsewhere and they do not answer", async () => {
    const clock = manualClock();
    let pushes = 0;
    let pushed: Connection | undefined;
    const server = await startRawServer({
      onAuthentication: (context, client) => {
        if (context.method !== "keyboard-interactive") return context.reject(["keyboard-interactive"]);
        return context.prompt([{ prompt: "Password: ", echo: false }], () => {
          if (pushes++ === 0) context.accept();
          else pushed = client; // and nobody looks at their telephone
        });
      },
      onConnection: (client) => void client.once("ready", () => client.end()),
    });
    await server.addHost("raw", { ConnectTimeout: 0 });
    const tund = await startInProcess(server.sshConfig, clock);
    const { registry } = tund;
    const { conversations } = registry;
    // Ten times as fast as time: a key exchange has two minutes of it, also on a busy machine.
    const ticking = setInterval(() => clock.advance(50), 5);
    onTestFinished(async () => {
      await tund.close();
      clearInterval(ticking);
      await server.stop();
    });
    const lines: ConversationLine[] = [];
    conversations.open((line) => {
      lines.push(line);
      if (line.type === "prompt") setImmediate(() => conversations.answer(conversation(), line.id, "secret"));
    });
    const conversation = () => lines.flatMap((line) => (line.type === "opened" ? [line.id] : []))[0] ?? "";
    await registry.connect("raw", { caller: { conversation: conversation(), remember: true } });
    // The link is lost, the answer given again, and the server silent for more than ten seconds.
    const client = await eventually(() => pushed ?? false);
    const began = clock.monotonic();
    await eventually(() => clock.monotonic() - began > 15_000);
    client.end();
    await eventually(async () =>
      expect(await registry.masters()).toMatchObject([
        {
          state: "blocked",
          failure: {
            message: expect.stringMatching(/the server's verdict on keyboard-interactive/) as string,
          },
        },
      ]),
    );
    clock.advance(HOUR_MS);
    expect(pushes).toBe(2);
  });
});
