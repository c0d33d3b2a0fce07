// What a server says once it has let the daemon in: every message, with channels and listeners there, while keys are
// exchanged and while channels come and go.
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { type LoopbackServer, echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { type InProcess, startInProcess } from "../support/in-process.ts";
import { socks5Request } from "../support/socks-client.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { anyMessage, tameMessage } from "./messages.ts";
import { pieces } from "./mutate.ts";
import { Peer } from "./peer.ts";
import type { Random } from "./random.ts";
import { type HostileServer, startHostileServer } from "./server.ts";
import { Session } from "./session.ts";

const HOST = "hostile";
const MOST_MESSAGES = 400;
const UP_MS = 20_000;

let server: HostileServer;
let daemon: InProcess;
let echo: LoopbackServer;
let place: TempDir;
let session: Session | undefined;

beforeAll(async () => {
  place = await tempDir();
  [server, echo] = await Promise.all([startHostileServer(), echoServer()]);
  server.serve((socket) => serve(socket, "aes128-gcm@openssh.com"));
  daemon = await startInProcess(server.sshConfig);
  await daemon.registry.openForwards({
    host: HOST,
    ephemeral: true,
    forwards: [
      { kind: "local", spec: `${path("local")}:127.0.0.1:7` },
      { kind: "dynamic", spec: path("dynamic") },
      { kind: "remote", spec: `0:127.0.0.1:${echo.port}` },
      { kind: "remote", spec: "0" },
    ],
  });
});

afterAll(async () => {
  server.drop();
  await daemon.close();
  await Promise.all([server.stop(), echo.close(), place.remove()]);
});

const path = (name: string): string => join(place.path, name);

function serve(socket: Socket, cipher: "aes128-gcm@openssh.com" | "aes128-ctr"): void {
  const peer = new Peer(socket, { hostKey: server.hostKey, cipher });
  session = new Session(peer, { accepts: "publickey" });
  peer.greet();
}

/** A fresh link, with its forwards set up. */
async function linkUp(): Promise<Session> {
  session = undefined;
  await daemon.registry.reconnect(HOST);
  return eventually(() => (session?.facts.listeners.length === 2 ? session : false), { deadlineMs: UP_MS });
}

/** Connections to the forwards, so that there are channels. */
function clients(): Socket[] {
  const local = Array.from({ length: 3 }, () => connect({ path: path("local"), allowHalfOpen: true }));
  const proxied = connect(path("dynamic"));
  proxied.write(socks5Request(80));
  for (const socket of [...local, proxied]) socket.on("error", () => undefined).resume();
  return [...local, proxied];
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** What the clients do meanwhile. */
function move(sockets: readonly Socket[], random: Random): void {
  const socket = random.pick(sockets);
  const what = random.below(12);
  if (what === 0) socket.end();
  else if (what === 1) socket.destroy();
  else if (socket.writable) socket.write(random.bytes(1 + random.below(2000)));
}

async function speak({ peer, facts }: Session, sockets: readonly Socket[], random: Random): Promise<number> {
  const make = random.oneIn(3) ? anyMessage : tameMessage;
  let said = 0;
  while (said < MOST_MESSAGES && !peer.socket.destroyed && !peer.socket.readableEnded) {
    for (let left = 1 + random.below(8); left > 0; left--, said++) {
      const packet = peer.seal({ payload: make(facts, random) });
      for (const piece of random.oneIn(10) ? pieces(packet, random) : [packet]) peer.write(piece);
    }
    if (random.oneIn(30)) peer.exchangeKeys();
    if (random.oneIn(4)) move(sockets, random);
    for (let turns = random.below(4); turns > 0; turns--) await turn();
  }
  return said;
}

describe("A server after the login", () => {
  it("says whatever it likes, and the daemon goes on and dials again", { timeout: CAMPAIGN_MS }, async () => {
    await run({
      kind: "after-login",
      inputs: 1000,
      part: async (random) => {
        server.serve((socket) => serve(socket, random.pick(["aes128-gcm@openssh.com", "aes128-ctr"])));
        const up = await linkUp();
        const sockets = clients();
        await eventually(() => up.facts.channels.length > 3 || up.peer.socket.destroyed);
        const said = await speak(up, sockets, random);
        for (const socket of sockets) socket.destroy();
        up.peer.socket.destroy();
        return said;
      },
    });
  });
});
