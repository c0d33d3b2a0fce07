import { afterAll, beforeAll, expect, it } from "vitest";
import type { Forward } from "../../shared/records.ts";
import { eventually } from "../support/eventually.ts";
import { type FarEnd, startFarEnd } from "../support/far-end.ts";
import { freePort } from "../support/free-port.ts";
import { socks5Reply, socks5Request } from "../support/socks-client.ts";
import { dialLoopback, echoed, refuses } from "../support/tcp.ts";
import { startSubject, type Subject } from "./subjects.ts";

let subject: Subject;
let far: FarEnd;

beforeAll(async () => {
  subject = await startSubject("tund");
  far = await startFarEnd();
  far.echo(true);
});
afterAll(async () => {
  await subject?.stop();
  await far?.close();
});

it("tund holds 200 forwards of three kinds on one master, and cancels them all at once", async () => {
  const before = subject.tund?.fds();
  const ports = await freePorts(200);
  const dynamics = new Set(ports.slice(100, 140));
  const remotes = new Set(ports.slice(140));
  await subject.forward(
    ports.flatMap((port) => {
      if (dynamics.has(port)) return ["-D", String(port)];
      return [remotes.has(port) ? "-R" : "-L", `${port}:${far.destination}`];
    }),
  );
  expect((await forwards()).filter(({ state }) => state === "active")).toHaveLength(200);

  await Promise.all(
    ports.map(async (port) => {
      const socket = await dialLoopback(port);
      if (dynamics.has(port)) {
        socket.write(socks5Request(far.port));
        expect(await socks5Reply(socket)).toBe(0);
      }
      expect(await echoed(socket.resume(), `port ${port}`)).toBe(`port ${port}`);
      socket.destroy();
    }),
  );
  expect(await subject.tund?.tunctl(["cancel", "--all", "testhost"])).toMatchObject({ code: 0 });
  expect(await forwards()).toEqual([]);
  for (const port of ports) expect([await refuses(port), await refuses(port, "::1")]).toEqual([true, true]);
  await eventually(() => expect(far.open()).toBe(0));
  // Two more than before: the master's connection, and its mux socket.
  await eventually(() => expect(subject.tund?.fds()).toBeLessThanOrEqual((before ?? 0) + 2));
});

async function forwards(): Promise<Forward[]> {
  const { stdout } = (await subject.tund?.tunctl(["list", "--json"])) ?? { stdout: "{}" };
  return (JSON.parse(stdout) as { forwards: Forward[] }).forwards;
}

/** So many, all different: one that was given back may be given again. */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
