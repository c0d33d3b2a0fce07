// ServerAliveInterval on a connection whose server says nothing any more.
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { manualClock } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshServer } from "../support/ssh-server.ts";

async function frozen(settings: readonly string[]) {
  const clock = manualClock();
  const server = await startSshServer(settings);
  const tund = await startInProcess(server.sshConfig, clock);
  onTestFinished(async () => {
    const ticking = setInterval(() => clock.advance(1000), 5); // or the end would be held up as well
    await tund.close();
    clearInterval(ticking);
    await server.close();
  });
  const state = async () => (await tund.registry.master("fake")).state;
  await tund.registry.connect("fake");
  server.freeze();
  /** Lets so many seconds pass, each with what comes of it. */
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      clock.advance(1000);
      await turn();
    }
  };
  return { pass, state };
}

describe("a server that says nothing any more", () => {
  it("is given up after a minute where nobody said anything else", async () => {
    const { pass, state } = await frozen([]);
    await pass(59);
    expect(await state()).toBe("ready");
    await pass(20);
    await eventually(async () => expect(await state()).not.toBe("ready"));
  });

  it("is kept where ServerAliveInterval is 0", async () => {
    const { pass, state } = await frozen(["ServerAliveInterval 0"]);
    await pass(600);
    expect(await state()).toBe("ready");
  });
});
