// Hosts that have ended tund, with time at a standstill: nothing is tried again unless somebody has it be.
import { expect, it, onTestFinished } from "vitest";
import type { Suspects } from "../../daemon/masters/suspects.ts";
import { manualClock } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshd } from "../support/sshd.ts";

it("a host behind a suspect goes on as soon as a person has connected that one", async () => {
  const sshd = await startSshd();
  await sshd.addHost("behind", {
    ProxyJump: "testhost",
    HostKeyAlias: "behind",
    StrictHostKeyChecking: "no",
  });
  const clock = manualClock();
  const known = new Set(["testhost"]);
  const suspects: Suspects = {
    lastOf: (host) => (known.has(host) ? 0 : null),
    forgive: async (host) => void known.delete(host),
  };
  const daemon = await startInProcess(sshd.sshConfig, clock, suspects);
  onTestFinished(async () => {
    const ticking = setInterval(() => clock.advance(1000), 5); // or the end would be held up
    await daemon.close();
    clearInterval(ticking);
    await sshd.stop();
  });
  const { registry } = daemon;
  registry.keep("behind");
  await eventually(async () => {
    const { state, failure } = await registry.master("behind");
    expect(state).toBe("waiting");
    expect(failure?.message).toMatch(/^by way of testhost: tund ended while handling testhost/);
  });
  await registry.connect("testhost");
  await eventually(async () => expect((await registry.master("behind")).state).toBe("ready"));
});
