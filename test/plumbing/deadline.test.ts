import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BlackHole, startBlackHole } from "../support/black-hole.ts";
import { type ManualClock, manualClock } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { type InProcess, startInProcess } from "../support/in-process.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { endOf } from "../support/tcp.ts";
import { kinds, layAll, type Way } from "./kinds.ts";
import { note } from "./notes.ts";
import type { Subject } from "./subjects.ts";

const title = "gives up a destination that never answers";
// A Unix socket always answers: its far end is on the same machine.
const reachable = kinds.filter(({ destination }) => destination === "tcp");

let sshd: Sshd;
let clock: ManualClock;
let tund: InProcess;
let hole: BlackHole;
let ways: Map<string, Way>;

// In this process, for the sake of the clock.
beforeAll(async () => {
  [sshd, hole] = await Promise.all([startSshd(), startBlackHole()]);
  await sshd.addHost("testhost", { ServerAliveInterval: 3600 }); // the clock's jumps are none of the link's
  clock = manualClock();
  tund = await startInProcess(sshd.sshConfig, clock);
  const forward = async (flags: readonly string[]) => {
    const forwards = flags.flatMap((flag, index) => {
      const kind = ({ "-L": "local", "-R": "remote", "-D": "dynamic" } as const)[flag];
      return kind === undefined ? [] : { kind, spec: flags[index + 1] ?? "" };
    });
    const opened = await tund.registry.openForwards({ host: "testhost", forwards });
    return opened.flatMap(({ allocatedPort }) => allocatedPort ?? []);
  };
  const subject: Subject = {
    name: "tund",
    pid: process.pid,
    sshd,
    tund: null,
    forward,
    stop: async () => {},
  };
  const to = { destination: `127.0.0.1:${hole.port}`, host: "127.0.0.1", port: hole.port };
  ways = await layAll(subject, { tcp: to, unix: to }, reachable);
});

afterAll(async () => {
  // What says goodbye waits for the clock.
  const ticking = setInterval(() => clock.advance(1000), 5);
  await tund?.close();
  clearInterval(ticking);
  await hole?.close();
  await sshd?.stop();
});

describe("tund", () => {
  it.each(reachable.map((kind) => [kind.name, kind] as const))(`%s: ${title}`, async (name, kind) => {
    const socket = await (ways.get(name) as Way).start();
    const channels = async () => (await tund.registry.master("testhost")).channels;
    if (kind.socks) await once(socket, "data"); // its greeting is answered, and its request was right behind it
    await eventually(async () => expect(await channels()).toBe(1));
    const armed = clock.pending();
    // Here tund dials itself, and need not wait for what a server may still be trying.
    const seconds = kind.opener === "subject" ? 30 : 60;
    clock.advance(seconds * 1000 - 1);
    expect(await channels()).toBe(1);
    clock.advance(1);
    expect(await endOf(socket)).toBe("end");
    socket.destroy();
    await eventually(async () => {
      expect(await channels()).toBe(0);
      expect((await tund.registry.forwards()).map(({ failure }) => failure?.message)).toContainEqual(
        expect.stringContaining(`did not answer within ${seconds} s`),
      );
    });
    expect(clock.pending()).toBeLessThan(armed + 1);
    note({ title, subject: "tund", kind: name, did: `after ${seconds} s, and says so in its list` });
    note({
      title,
      subject: "OpenSSH",
      kind: name,
      did: "when the system does, some two minutes (not measured)",
    });
  });
});
