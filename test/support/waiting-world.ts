// tund in this process by a clock of the test's, an SSH server that decides when it is told to, an agent that asks a person, and
// a way that is shut.
import { appendFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import type { Registry } from "../../daemon/masters/registry.ts";
import { type AskingAgent, startAskingAgent } from "./asking-agent.ts";
import { type ManualClock, manualClock } from "./clock.ts";
import { eventually } from "./eventually.ts";
import { type Gate, startGate } from "./gate.ts";
import { startInProcess } from "./in-process.ts";
import { type SshServer, startSshServer } from "./ssh-server.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

export interface WaitingWorld {
  clock: ManualClock;
  server: SshServer;
  /** holds the key that the server takes */
  agent: AskingAgent;
  /** leads to the server */
  gate: Gate;
  registry: Registry;
  /** Waits until the master of a name is in a state, and gives it. */
  settled: (name: string, state: string) => Promise<Master>;
  /** Adds a name for the server, with further settings, which logs in by the agent alone unless they say otherwise. */
  addHost: (name: string, settings: readonly string[]) => Promise<void>;
}

/** Starts all of it for the running test. `asked` is the server by the agent alone, `fake` by a file. */
export async function startWaitingWorld(): Promise<WaitingWorld> {
  const clock = manualClock();
  const server = await startSshServer();
  const agent = await startAskingAgent();
  await agent.add(join(dirname(server.sshConfig), "id"));
  const gate = await startGate(server.port);
  const tund = await startInProcess(server.sshConfig, clock);
  const { registry } = tund;
  onTestFinished(async () => {
    // A clock that stands still would hold up the end as well.
    const ticking = setInterval(() => clock.advance(1000), 5);
    await tund.close();
    clearInterval(ticking);
    gate.stop();
    await Promise.all([agent.stop(), server.close()]);
  });
  const settled = (name: string, state: string) =>
    eventually(async () => {
      const found = (await registry.masters()).find(({ names }) => names.includes(name));
      expect(found?.state).toBe(state);
      return found as Master;
    });
  const addHost = (name: string, settings: readonly string[]) => {
    const lines = [
      `Host ${name}`,
      ...settings,
      `IdentityAgent ${agent.socket}`,
      "IdentityFile none",
      "HostName 127.0.0.1",
      `Port ${server.port}`,
      `HostKeyAlias [127.0.0.1]:${server.port}`,
      "User nobody",
      `UserKnownHostsFile ${join(dirname(server.sshConfig), "known_hosts")}`,
      "GlobalKnownHostsFile /dev/null",
    ];
    return appendFile(server.sshConfig, `\n${lines.join("\n")}\n`);
  };
  await addHost("asked", ["ConnectTimeout 5"]);
  return { clock, server, agent, gate, registry, settled, addHost };
}

/** How often an agent was asked for something. */
export const asked = (agent: AskingAgent, request: string): number =>
  agent.asked.filter((one) => one === request).length;
