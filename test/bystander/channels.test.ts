// What a server that has let us in can do with channels and requests: one bad host stays one bad host.
import type { ServerChannel } from "ssh2";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Sshd, startSshd } from "../support/sshd.ts";
import type { Tund } from "../support/daemon.ts";
import { closing } from "../support/tunnel.ts";
import { echoServer, sinkServer, sourceServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { dialPath } from "../support/tcp.ts";
import { processorMs } from "../support/process-figures.ts";
import { tempDir } from "../support/temp-dir.ts";
import { offerPacketSize } from "../support/raw-server.ts";
import { type Behaviour, type Hostile, message, startHostile, text, uint32 } from "./hostile.ts";
import { LONG, lateRuns, ok } from "./late-runs.ts";

let station: Sshd;
beforeAll(async () => {
  station = await startSshd();
});
afterAll(() => station?.stop());

// Who goes on with it has then had so many milliseconds of a processor, on a busy machine too.
const SPENT_MS = 1500;
const PATIENCE_MS = 30_000;
const MESSAGES = 100_000;
const CHANNELS = 20_000;
const REMOTE_PORT = 45_678;
const WINDOW = 2 * 1024 * 1024;
const MIB = 1024 * 1024;

const GLOBAL_REQUEST = 80;
const CHANNEL_OPEN = 90;
const CHANNEL_REQUEST = 98;

async function hostile(behaviour: Behaviour) {
  const server = await startHostile(behaviour);
  onTestFinished(() => server.stop());
  return server;
}

/** Until it is so, or tund has spent its time on it. */
async function orSpent(tund: Tund, check: () => boolean): Promise<void> {
  const before = processorMs(tund.pid);
  await eventually(() => check() || processorMs(tund.pid) - before > SPENT_MS, { deadlineMs: PATIENCE_MS });
}

/** Grants every remote forward, and says when. */
const granting =
  (granted: (hostile: Hostile) => void) =>
  (one: Hostile): void => {
    one.client.on("request", (accept, _reject, name) => {
      accept?.();
      if (name === "tcpip-forward") granted(one);
    });
  };

describe("a server that grants packets of no size", () => {
  it.each([0, 1])("on a channel that it opens keeps nobody waiting (%i bytes)", LONG, async (size) => {
    const source = closing(await sourceServer(32 * MIB));
    let isOver = false;
    const opens = ({ client }: Hostile) => {
      offerPacketSize(client, size);
      client.forwardOut("localhost", REMOTE_PORT, "127.0.0.1", 1234, (error, channel) => {
        if (error !== undefined) return (isOver = true);
        channel
          .on("error", () => undefined)
          .on("close", () => (isOver = true))
          .resume();
        return channel.write("hello");
      });
    };
    const server = await hostile({ connected: granting((one) => setImmediate(opens, one)) });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: server.sshConfig } },
        make: async (tund) => {
          isOver = false;
          const spec = `${REMOTE_PORT}:127.0.0.1:${source.port}`;
          await ok(tund, ["forward", "-R", spec, "bad"]);
          await orSpent(tund, () => isOver);
        },
      }),
    ).toEqual([]);
  });

  it.each([0, 1])("on a channel that we open keeps nobody waiting (%i bytes)", LONG, async (size) => {
    const place = await tempDir();
    onTestFinished(() => place.remove());
    const path = `${place.path}/s`;
    const server = await hostile({
      connected: ({ client }) => {
        offerPacketSize(client, size);
        client.on("tcpip", (accept) =>
          accept()
            .on("error", () => undefined)
            .resume(),
        );
      },
    });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: server.sshConfig } },
        make: async (tund) => {
          await ok(tund, ["forward", "--ephemeral", "-L", `${path}:127.0.0.1:1`, "bad"]);
          const socket = await dialPath(path);
          let isOver = false;
          socket
            .resume()
            .once("close", () => (isOver = true))
            .once("end", () => socket.destroy());
          socket.write(Buffer.alloc(8 * MIB));
          await orSpent(tund, () => isOver);
          socket.destroy();
        },
      }),
    ).toEqual([]);
  });
});

describe("a server that floods us, and reads no answer,", () => {
  const floods: [string, (one: Hostile) => Promise<void>][] = [
    [
      "with global requests",
      ({ flood }) =>
        flood(() => message(GLOBAL_REQUEST, text("unheard-of@example.com"), Buffer.from([1])), MESSAGES),
    ],
    [
      "with channels that nobody asked for",
      ({ flood }) =>
        flood(
          (index) =>
            message(
              CHANNEL_OPEN,
              text("forwarded-tcpip"),
              uint32(index),
              uint32(WINDOW),
              uint32(32_768),
              target(REMOTE_PORT + 1),
            ),
          MESSAGES,
        ),
    ],
    [
      "with channels to a remote forward",
      ({ flood }) =>
        flood(
          (index) =>
            message(
              CHANNEL_OPEN,
              text("forwarded-tcpip"),
              uint32(index),
              uint32(WINDOW),
              uint32(32_768),
              target(REMOTE_PORT),
            ),
          CHANNELS,
        ),
    ],
  ];
  it.each(floods)("%s, keeps nobody waiting", LONG, async (_what, run) => {
    const echo = closing(await echoServer());
    let done = false;
    const server = await hostile({
      connected: granting((one) => void run(one).finally(() => (done = true))),
    });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: server.sshConfig } },
        make: async (tund) => {
          done = false;
          // It need not succeed: a link may be ended for this.
          await tund.tunctl(["forward", "--no-wait", "-R", `${REMOTE_PORT}:127.0.0.1:${echo.port}`, "bad"]);
          await eventually(() => done);
          await ok(tund, ["status"]);
        },
      }),
    ).toEqual([]);
  });

  it("with requests on a channel, keeps nobody waiting", LONG, async () => {
    const place = await tempDir();
    onTestFinished(() => place.remove());
    let done = false;
    const run = async ({ flood }: Hostile, channel: ServerChannel) => {
      const { id } = (channel as unknown as { outgoing: { id: number } }).outgoing;
      const request = message(CHANNEL_REQUEST, uint32(id), text("unheard-of@example.com"), Buffer.from([1]));
      await flood(() => request, MESSAGES);
    };
    const server = await hostile({
      connected: (one) =>
        one.client.on("tcpip", (accept) => {
          const channel = accept();
          channel.on("error", () => undefined);
          void run(one, channel).finally(() => (done = true));
        }),
    });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: server.sshConfig } },
        make: (tund) => throughChannel(tund, `${place.path}/s`, () => done),
      }),
    ).toEqual([]);
  });
});

async function throughChannel(tund: Tund, path: string, isDone: () => boolean): Promise<void> {
  const sink = closing(await sinkServer());
  await ok(tund, ["forward", "--ephemeral", "-L", `${path}:127.0.0.1:${sink.port}`, "bad"]);
  const socket = await dialPath(path);
  socket.resume().write("hello");
  await eventually(isDone);
  await ok(tund, ["status"]);
  socket.destroy();
}

/** Where a forwarded-tcpip channel goes and comes from (RFC 4254 section 7.2). */
const target = (port: number): Buffer =>
  Buffer.concat([text("localhost"), uint32(port), text("127.0.0.1"), uint32(1234)]);
