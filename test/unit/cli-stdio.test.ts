// `tunctl stdio` and `-W` against a canned daemon: bytes both ways, ends, and what goes wrong.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { PassThrough, Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Context, RawSink } from "../../cli/command.ts";
import { stdioPath } from "../../shared/routes.ts";
import { cannedDaemon, Refusal } from "../support/canned-daemon.ts";

const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tund-stdio\r\n\r\n";

/** A daemon that hands each channel to the test. */
async function channels(serve: (socket: Socket) => void) {
  const daemon = await cannedDaemon({
    upgrade: (socket) => {
      socket.on("error", () => undefined);
      socket.write(SWITCHING);
      serve(socket);
    },
  });
  return { ...daemon, stdio: (more: Partial<Context>) => daemon.tunctl(["stdio", "web:80", "db"], more) };
}

/** What comes out of stdout: as fast as it can, or when `take` lets it. */
function sink({ isDeaf = false } = {}) {
  const chunks: Buffer[] = [];
  let waiting: (() => void) | undefined;
  const stream = new Writable({
    highWaterMark: 16 * 1024,
    write(chunk: Buffer, _, written) {
      chunks.push(chunk);
      if (isDeaf) waiting = written;
      else setImmediate(written);
    },
  });
  const rawStdout: RawSink = {
    write: (bytes) => stream.write(bytes),
    onceDrained: (run) => void stream.once("drain", run),
    end: () => new Promise((ended) => void stream.end(ended)),
  };
  const take = () => {
    isDeaf = false;
    waiting?.();
  };
  return { rawStdout, stream, take, bytes: () => Buffer.concat(chunks) };
}

const neverEnding = () => new PassThrough();
const done = { code: 0, out: "", err: "" };

describe("stdin and stdout", () => {
  it("carry every byte both ways, and stdin goes on when the channel's data has ended", async () => {
    const [sent, received] = [randomBytes(2_000_000), randomBytes(2_000_000)];
    const [out, far] = [sink(), sink()];
    const stdin = new PassThrough();
    const { stdio } = await channels((socket) => {
      socket.pipe(far.stream);
      socket.end(received);
    });
    const running = stdio({ stdin, rawStdout: out.rawStdout });
    stdin.write(sent.subarray(0, 1000));
    await once(out.stream, "finish");
    stdin.end(sent.subarray(1000));
    expect(await running).toEqual(done);
    expect(out.bytes().equals(received)).toBe(true);
    await finished(far.stream);
    expect(far.bytes().equals(sent)).toBe(true);
  });

  it("still print what comes after stdin has ended", async () => {
    const received = randomBytes(2_000_000);
    const out = sink();
    const { stdio } = await channels((socket) => {
      socket.resume().on("end", () => socket.end(received));
    });
    expect(await stdio({ stdin: Readable.from([]), rawStdout: out.rawStdout })).toEqual(done);
    expect(out.bytes().equals(received)).toBe(true);
  });

  it("lose nothing of what comes in one packet with the daemon's answer", async () => {
    const out = sink();
    const { tunctl } = await cannedDaemon({
      upgrade: (socket) => {
        socket.write(`${SWITCHING}SSH-2.0-first\r\n`);
        socket.resume().on("end", () => socket.end());
      },
    });
    const streams = { stdin: Readable.from([]), rawStdout: out.rawStdout };
    expect(await tunctl(["stdio", "web:22", "db"], streams)).toEqual(done);
    expect(out.bytes().toString()).toBe("SSH-2.0-first\r\n");
  });

  it("are held back, both of them, while the other side does not read", async () => {
    const out = sink({ isDeaf: true });
    let made = 0;
    const stdin = new Readable({
      read() {
        made += this.push(randomBytes(16_384)) ? 16_384 : 0;
      },
    });
    let socket!: Socket;
    const { stdio } = await channels((opened) => {
      socket = opened.pause();
      socket.write(randomBytes(5_000_000));
    });
    const running = stdio({ stdin, rawStdout: out.rawStdout });
    await expect.poll(() => out.stream.writableNeedDrain).toBe(true);
    const quiet = async () => {
      const before = [made, socket.bytesWritten, socket.writableLength].join();
      await new Promise((passed) => setTimeout(passed, 50));
      return before === [made, socket.bytesWritten, socket.writableLength].join();
    };
    await expect.poll(quiet).toBe(true);
    expect(made).toBeLessThan(2_000_000);
    expect(socket.writableLength).toBeGreaterThan(3_000_000);
    out.take();
    socket.resume();
    stdin.push(null);
    socket.end();
    expect(await running).toEqual(done);
    expect(out.bytes().length).toBe(5_000_000);
  });
});

describe("a channel that is closed", () => {
  it.each([
    ["at once", (socket: Socket) => socket.destroySoon()],
    [
      "a while after its data ended",
      (socket: Socket) => {
        socket.end("bye");
        setTimeout(() => socket.destroy(), 300);
      },
    ],
  ])("%s ends it all, though stdin stays open", async (_, close) => {
    const stdin = neverEnding();
    const { stdio } = await channels(close);
    expect(await stdio({ stdin, rawStdout: sink().rawStdout })).toEqual(done);
    expect(stdin.destroyed).toBe(true);
  });

  it("waits until stdout has all of it", async () => {
    const out = sink({ isDeaf: true });
    const { stdio } = await channels((socket) => socket.resume().end(randomBytes(20_000)));
    let isOver = false;
    const running = stdio({ stdin: Readable.from([]), rawStdout: out.rawStdout }).finally(
      () => (isOver = true),
    );
    await expect.poll(() => out.stream.writableEnded).toBe(true);
    expect(isOver).toBe(false);
    out.take();
    expect(await running).toEqual(done);
  });

  it("before its data has ended is one line and exit code 1", async () => {
    const stdin = neverEnding();
    const out = sink({ isDeaf: true });
    const { stdio } = await channels((socket) => {
      socket.write(randomBytes(100_000));
      socket.once("data", () => socket.destroy());
    });
    const running = stdio({ stdin, rawStdout: out.rawStdout });
    // stdout takes nothing more, so the end is not seen: what stdin sends is what hits the closed channel.
    await expect.poll(() => out.stream.writableNeedDrain).toBe(true);
    const writing = setInterval(() => stdin.write("x"), 10);
    onTestFinished(() => clearInterval(writing));
    expect(await running).toEqual({ code: 1, out: "", err: "tunctl: the channel broke: write EPIPE\n" });
    clearInterval(writing);
  });
});

describe("the way to a channel", () => {
  const ended = (socket: Socket) => void socket.resume().end();

  it.each([
    ["stdio web:80 db", "web:80", undefined],
    ["stdio -p 2222 web:80 db", "web:80", { port: 2222 }],
    ["stdio [::1]:22 db -J hop", "[::1]:22", { jump: "hop" }],
    ["stdio /run/x.sock db", "/run/x.sock", undefined],
    ["-W web:80 db", "web:80", undefined],
    ["-qW web:80 -l me db", "web:80", { user: "me" }],
    ["db -Wweb:80 -4", "web:80", { addressFamily: "inet" }],
    ["-W web:80", "web:80", undefined],
    ["stdio web:80", "web:80", undefined],
  ])("is asked for and then joined: tunctl %s", async (line, destination, connection) => {
    const { requests, tunctl } = await channels(ended);
    const streams = { stdin: Readable.from([]), rawStdout: sink().rawStdout };
    expect(await tunctl(line.split(" "), streams)).toEqual(done);
    const body = { host: "db", destination, ...(connection && { connection }) };
    expect(requests.slice(-2)).toEqual([["POST /v1/stdio", body], [`GET ${stdioPath("t1")}`]]);
  });

  it("asks for the protocol's name", async () => {
    let headers: unknown;
    const { tunctl } = await cannedDaemon({
      upgrade: (socket, incoming) => {
        ({ headers } = incoming);
        socket.write(SWITCHING);
        ended(socket);
      },
    });
    await tunctl(["stdio", "a:1", "db"], { stdin: Readable.from([]), rawStdout: sink().rawStdout });
    expect(headers).toMatchObject({ connection: "Upgrade", upgrade: "tund-stdio" });
  });

  it("fails as the daemon says when the channel cannot be opened", async () => {
    const refusal = new Refusal("CHANNEL_CONNECT_FAILED", "connect failed: Connection refused");
    const { tunctl } = await cannedDaemon({ answers: { "POST /v1/stdio": refusal } });
    const expected = { code: 1, out: "", err: "tunctl: connect failed: Connection refused\n" };
    expect(await tunctl(["stdio", "a:1", "db"])).toEqual(expected);
  });

  it("fails as the daemon says when the ticket is not good any more", async () => {
    const refusal = new Refusal("NOT_FOUND", "there is no such channel (any more)");
    const { tunctl } = await cannedDaemon({ answers: { [`GET ${stdioPath("t1")}`]: refusal } });
    const expected = { code: 4, out: "", err: "tunctl: there is no such channel (any more)\n" };
    expect(await tunctl(["stdio", "a:1", "db"], { stdin: neverEnding() })).toEqual(expected);
  });

  it("fails as an unreachable daemon does when the daemon goes before it has joined", async () => {
    const { socket, tunctl } = await cannedDaemon({ upgrade: (channel) => void channel.destroy() });
    expect(await tunctl(["stdio", "a:1", "db"])).toEqual({
      code: 3,
      out: "",
      err: `tunctl: the daemon on ${socket} went away before it answered: see its log for why\n`,
    });
  });
});
