// An agent that signs when somebody has agreed, which takes longer than ConnectTimeout; beside ssh, on every server at once.
import { afterAll, beforeAll } from "vitest";
import { startTund } from "../support/daemon.ts";
import { startSlowAgent } from "../support/slow-agent.ts";
import { allSoftware, describePeer, type Software } from "./peers.ts";
import { byBoth } from "./try-login.ts";
import { compare, itOf, type Verdict } from "./verdict.ts";

const CONNECT_TIMEOUT_S = 5;

const softwares = await allSoftware();
const stops: (() => Promise<unknown>)[] = [];
const verdicts = new Map<Software, Promise<{ ssh: Verdict; tund: Verdict }>>();

beforeAll(async () => {
  // They are waited for one after the other, and take their time together.
  for (const software of softwares)
    if (software.whyNot === null) verdicts.set(software, (await begun(software)).trying);
});
afterAll(async () => {
  for (const stop of stops) await stop();
});

/** Starts a server with all that it needs; the promise in what it gives settles when both have tried. */
async function begun(software: Software) {
  const peer = await software.start();
  stops.push(() => peer.stop());
  const agent = await startSlowAgent(peer.identity, (CONNECT_TIMEOUT_S + 1) * 1000);
  stops.push(() => agent.stop());
  await peer.addHost("slow", {
    IdentityFile: `${peer.identity}.pub`,
    IdentityAgent: agent.socket,
    ConnectTimeout: CONNECT_TIMEOUT_S,
  });
  const tund = await startTund({ env: { TUND_SSH_CONFIG: peer.sshConfig } });
  stops.push(() => tund.stop());
  const trying = byBoth({ peer, tund, host: "slow", env: {} });
  trying.catch(() => undefined); // whoever waits for it is told
  return { trying };
}

for (const software of softwares)
  describePeer(software)(software.name, () => {
    const at = { row: "an agent that answers after ConnectTimeout", column: software.name };
    itOf(at)(at.row, async () => {
      const verdict = await verdicts.get(software);
      if (verdict === undefined) throw new Error("it was not tried");
      compare(at, verdict);
    });
  });
