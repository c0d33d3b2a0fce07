// A master that serves on demand alone: its rest is for links, and nobody's who dials.
import { expect, it, onTestFinished } from "vitest";
import { Transaction, unheard } from "../../daemon/masters/transaction.ts";
import { manualClock } from "../support/clock.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshServer } from "../support/ssh-server.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";

async function world() {
  const clock = manualClock();
  const [server, echo] = await Promise.all([startSshServer(["ConnectTimeout 60"]), echoServer()]);
  const tund = await startInProcess(server.sshConfig, clock);
  const { registry } = tund;
  onTestFinished(async () => {
    const ticking = setInterval(() => clock.advance(1000), 5);
    await tund.close();
    clearInterval(ticking);
    await Promise.all([echo.close(), server.close()]);
  });
  const port = await freePort();
  const forwards = [{ kind: "local" as const, spec: `${port}:127.0.0.1:${echo.port}` }];
  await registry.openForwards({ host: "fake", forwards, onDemand: true, idleSeconds: 5 });
  const client = await dialLoopback(port);
  expect(await echoed(client, "a")).toBe("a");
  client.destroy();
  await eventually(async () => expect(await registry.forwards()).toMatchObject([{ channels: { open: 0 } }]));
  const state = async () => (await registry.masters())[0]?.state;
  return { clock, server, echo, registry, state };
}

it("does not go to rest while somebody waits for its next link, however idle the last one was", async () => {
  const { clock, server, registry, state } = await world();
  server.switches.authentication = "never";
  const reconnected = registry.reconnect("fake");
  await eventually(() => expect(server.undecided()).toBe(1));
  clock.advance(6000);
  expect(await state()).toBe("connecting");
  server.admit();
  expect(await reconnected).toMatchObject({ state: "ready" });

  // For this link, which is as idle, the time begins anew.
  clock.advance(4000);
  expect(await state()).toBe("ready");
  clock.advance(2000);
  expect(await state()).toBe("idle");
  await eventually(() => expect(server.connections()).toBe(0));
});

it("does not go to rest while a command waits for a channel, and does when that came to nothing", async () => {
  const { clock, server, registry, state } = await world();
  server.switches.open = "never";
  const gone = new AbortController();
  const opening = registry.openStdio(
    { host: "fake", destination: "127.0.0.1:1" },
    new Transaction(gone.signal),
  );
  const failed = expect(opening).rejects.toThrow("nobody waits");
  await eventually(() => expect(server.wanted()).toBe(2));
  for (let waited = 0; waited < 4; waited++) {
    clock.advance(4000);
    expect(await state()).toBe("ready");
  }
  gone.abort(unheard());
  await failed;
  clock.advance(5000);
  expect(await state()).toBe("idle");
});
