// near.c's like, for machines without a compiler: the same arguments, and the same figures on stdout.
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { socks5Reply, socks5Request } from "../../test/support/socks-client.ts";

const CHUNK = Buffer.alloc(256 * 1024);
const PING = 64;
const MIB = 1024 * 1024;
const CROWD_MS = 60_000;

type Figures = Record<string, number>;

const [kind = "", ...numbers] = process.argv.slice(2);
const [port = 0, count = 0, warmMs = 0, runMs = 0, more = 0] = numbers.map(Number);
const warmUntil = performance.now() + warmMs;
const runUntil = warmUntil + runMs;

function dial(buffer: Buffer | null, onBytes?: (count: number) => void): Promise<Socket> {
  const callback = (bytes: number): boolean => {
    onBytes?.(bytes);
    return true;
  };
  return new Promise((resolve, reject) => {
    const onread = buffer && { onread: { buffer, callback } };
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, ...onread });
    socket.once("error", reject);
    socket.once("connect", () => resolve(socket));
  });
}

/** Sees a counter as it grows; gives its rate a second between two moments at which it grew, once the time is over. */
function watch(): (counter: number) => number | undefined {
  let from: { at: number; counter: number } | undefined;
  return (counter) => {
    const at = performance.now();
    if (at >= warmUntil) from ??= { at, counter };
    if (at < runUntil || from === undefined || at === from.at) return undefined;
    return ((counter - from.counter) / (at - from.at)) * 1000;
  };
}

async function stream(way: "down" | "up"): Promise<{ rate: number; bytes: number }> {
  const rateOf = watch();
  const weight = way === "down" ? 1 : more * 1024;
  let counter = 0;
  let done = (_rate: number): void => {};
  const rate = new Promise<number>((resolve) => (done = resolve));
  const socket = await dial(Buffer.alloc(512 * 1024), (bytes) => {
    const found = rateOf((counter += bytes * weight));
    if (found !== undefined) done(found);
  });
  const early = new Promise<never>((_, reject) => {
    socket.once("close", () => reject(new Error(`${way}: closed too early`)));
  });
  if (way === "up") {
    const block = Buffer.alloc(8);
    block.writeBigUInt64LE(BigInt(weight));
    socket.write(block);
    const pour = (): void => {
      while (!socket.destroyed && socket.write(CHUNK));
    };
    socket.on("drain", pour);
    pour();
  }
  const found = await Promise.race([rate, early]);
  early.catch(() => {});
  const bytes = way === "down" ? counter : socket.bytesWritten - socket.writableLength;
  socket.destroy();
  return { rate: found, bytes };
}

async function flow(way: "down" | "up"): Promise<Figures> {
  const streams = await Promise.all(Array.from({ length: count }, () => stream(way)));
  const sum = (key: "rate" | "bytes"): number => streams.reduce((total, one) => total + one[key], 0) / MIB;
  return { mibPerSecond: sum("rate"), mib: sum("bytes") };
}

/** Round trips of 64 bytes, written in so many pieces, one after the other; microseconds. */
async function trips(): Promise<Figures> {
  const times: number[] = [];
  const piece = Buffer.alloc(PING / count);
  let back = 0;
  let wake = (): void => {};
  const socket = await dial(Buffer.alloc(1024), (bytes) => {
    back += bytes;
    if (back >= PING) wake();
  });
  for (let started; (started = performance.now()) < runUntil;) {
    back = 0;
    const pong = new Promise<void>((resolve) => (wake = resolve));
    for (let i = 0; i < count; i++) socket.write(piece);
    await pong;
    if (started >= warmUntil) times.push((performance.now() - started) * 1000);
  }
  socket.destroy();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), count: times.length };
}

/** Opens a connection, and waits for a byte to come back. It is the caller's to close. */
async function visit(): Promise<Socket> {
  const socket = await dial(null);
  if (kind === "connections" && more > 0) {
    socket.write(socks5Request(more));
    if ((await socks5Reply(socket)) !== 0) throw new Error("SOCKS: refused");
    socket.resume();
  }
  const answered = new Promise((resolve, reject) => {
    socket.once("data", resolve);
    socket.once("close", () => reject(new Error("closed without an answer")));
  });
  socket.write("x");
  await answered;
  return socket;
}

async function connections(): Promise<Figures> {
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let at; (at = performance.now()) < runUntil;) {
      (await visit()).destroy();
      if (at >= warmUntil) done++;
    }
  };
  await Promise.all(Array.from({ length: count }, worker));
  return { perSecond: (done * 1000) / runMs };
}

async function hold(): Promise<Figures> {
  const started = performance.now();
  let served = 0;
  const come = (): Promise<void> =>
    visit().then(
      () => void served++,
      () => undefined, // reset
    );
  const late = new Promise((over) => void setTimeout(over, CROWD_MS).unref());
  await Promise.race([late, Promise.all(Array.from({ length: count }, come))]);
  return { seconds: (served === count ? performance.now() - started : CROWD_MS) / 1000, served };
}

async function stall(): Promise<Figures> {
  for (let i = 0; i < count; i++) (await dial(null)).pause();
  return { count };
}

const loads: Readonly<Record<string, () => Promise<Figures>>> = {
  down: () => flow("down"),
  up: () => flow("up"),
  trips,
  connections,
  hold,
  stall,
};

console.log(JSON.stringify(await loads[kind]?.()));
// Connections that are held stay until stdin ends.
if (kind === "hold" || kind === "stall") process.stdin.once("end", () => process.exit()).resume();
else process.exit();
