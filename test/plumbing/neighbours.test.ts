import { join } from "node:path";
import { beforeAll, expect } from "vitest";
import type { Socket } from "node:net";
import { socks5Reply } from "../support/socks-client.ts";
import { endOf } from "../support/tcp.ts";
import { everyWay, type OpenWay, pairOf, plumbing } from "./every-way.ts";
import { type Destination, layAll, type Way } from "./kinds.ts";
import { digestOf, digestOfPoured, pour } from "./pump.ts";
import { subjectNames } from "./subjects.ts";

const SIZE = 10_000_000;
const digest = digestOfPoured(SIZE);

const on = plumbing();

// Nobody listens on port 1.
const refused: Destination = { destination: "127.0.0.1:1", host: "127.0.0.1", port: 1 };
// RFC 6761 section 6.4: no resolver knows such a name.
const unresolvable: Destination = {
  destination: "no-such-host.invalid:80",
  host: "no-such-host.invalid",
  port: 80,
};

const leadingTo = new Map<Destination, Map<string, Way>>();

beforeAll(async () => {
  for (const name of subjectNames)
    for (const tcp of [refused, unresolvable]) {
      const subject = on.subject(name);
      const path = join(subject.sshd.directory, "nobody");
      const ways = await layAll(subject, { tcp, unix: { destination: path, host: path, port: 0 } });
      const known = leadingTo.get(tcp) ?? new Map<string, Way>();
      for (const [kind, way] of ways) known.set(`${name} ${kind}`, way);
      leadingTo.set(tcp, known);
    }
});

everyWay(on, "refuses what its destination refuses, beside a transfer that loses nothing", (way) =>
  turnsAway(way, refused),
);

everyWay(on, "refuses what has no address, beside a transfer that loses nothing", (way) =>
  turnsAway(way, unresolvable),
);

async function turnsAway(way: OpenWay, to: Destination): Promise<string> {
  const bad = leadingTo.get(to)?.get(`${way.subject.name} ${way.kind.name}`);
  if (bad === undefined) throw new Error("not set up yet");
  const { near, far } = await pairOf(way);
  const transfer = Promise.all([digestOf(near), digestOf(far), pour(near, SIZE), pour(far, SIZE)]);
  const saw = new Set<string>();
  for (let client = 0; client < 3; client++) saw.add(await farewellOf(await bad.start(), way.kind.socks));
  expect((await transfer).slice(0, 2)).toEqual([digest, digest]);
  return [...saw].sort().join(" or ");
}

/** What a client sees of a connection that has no other end. */
async function farewellOf(socket: Socket, socks: boolean): Promise<string> {
  const code = socks ? await socks5Reply(socket) : undefined;
  const end = (await endOf(socket)) === "end" ? "a clean end" : "a reset";
  socket.destroy();
  if (!socks) return end;
  return `${code === undefined ? "no SOCKS reply" : `SOCKS reply ${code}`}, then ${end}`;
}
