// A far link, in user space: a TCP proxy that holds every byte back for half a round trip, and lets no more through than the
// link could carry. `line.ts TARGET_PORT ROUND_TRIP_MS MIB_PER_SECOND` (0: as much as comes) until stdin ends; prints its port.
// It knows no loss and no slow start: it shows what SSH's own windows do with a distance, and nothing of TCP's.
import { connect, createServer, type Socket } from "node:net";
import { performance } from "node:perf_hooks";

// What a router keeps before it: beyond that the sender is held up.
const QUEUE_MS = 50;
// On an unlimited link, how much may be under way in one direction: 1,280 MiB/s at 100 ms.
const MOST_UNDER_WAY = 64 * 1024 * 1024;

const [target = 0, roundTripMs = 0, mibPerSecond = 0] = process.argv.slice(2).map(Number);
const bytesPerMs = mibPerSecond === 0 ? Number.POSITIVE_INFINITY : (mibPerSecond * 1024 * 1024) / 1000;

/** One direction of one connection. */
class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  #underWay: { chunk: Buffer | null; due: number }[] = [];
  #bytes = 0;
  /** when all that was taken so far will have left */
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
  }

  begin(): void {
    const [from, to] = [this.#from, this.#to];
    from.on("data", (chunk: Buffer) => this.#take(chunk)).once("end", () => this.#take(null));
    to.on("drain", () => this.#deliver());
    to.once("close", () => clearTimeout(this.#timer));
  }

  #take(chunk: Buffer | null): void {
    const now = performance.now();
    this.#freeAt = Math.max(now, this.#freeAt) + (chunk?.length ?? 0) / bytesPerMs;
    this.#bytes += chunk?.length ?? 0;
    this.#underWay.push({ chunk, due: this.#freeAt + roundTripMs / 2 });
    if (this.#isFull(now)) this.#holdUp(now);
    this.#timer ??= this.#wait();
  }

  #isFull(now: number): boolean {
    return this.#freeAt - now > QUEUE_MS || this.#bytes > MOST_UNDER_WAY;
  }

  #holdUp(now: number): void {
    this.#from.pause();
    // Half the queue is left by then: the link itself is never idle for want of data.
    setTimeout(() => this.#goOn(), Math.max(0, this.#freeAt - now - QUEUE_MS / 2));
  }

  #goOn(): void {
    if (!this.#from.destroyed && !this.#isFull(performance.now())) this.#from.resume();
  }

  #wait(): NodeJS.Timeout | undefined {
    const [next] = this.#underWay;
    if (next === undefined) return undefined;
    return setTimeout(() => this.#deliver(), Math.max(0, next.due - performance.now()));
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    if (this.#to.writableNeedDrain) return; // 'drain' leads here again
    const now = performance.now();
    const due = this.#underWay.findIndex((one) => one.due > now);
    const arrived = this.#underWay.splice(0, due === -1 ? this.#underWay.length : due);
    this.#to.cork();
    for (const { chunk } of arrived) {
      this.#bytes -= chunk?.length ?? 0;
      if (chunk === null) this.#to.end();
      else if (!this.#to.destroyed) this.#to.write(chunk);
    }
    this.#to.uncork();
    this.#goOn();
    this.#timer = this.#wait();
  }
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on("error", () => one.destroy());
    one.once("close", () => other.destroy());
  }
  far.once("connect", () => {
    new Direction(near, far).begin();
    new Direction(far, near).begin();
  });
});
server.listen({ port: 0, host: "127.0.0.1" }, () => {
  console.log(JSON.stringify(server.address()));
});
process.stdin.once("end", () => process.exit()).resume();
