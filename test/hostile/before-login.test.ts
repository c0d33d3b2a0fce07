// What a server says before it has let anybody in: every message at every step of the way, valid and spoilt, whole and in pieces.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { type LogIn, loginsTo } from "./login.ts";
import { anyMessage } from "./messages.ts";
import { mutate, NASTY_TEXTS, pieces } from "./mutate.ts";
import { Peer, type PeerOptions } from "./peer.ts";
import type { Random } from "./random.ts";
import { type HostileServer, startHostileServer } from "./server.ts";
import { type Accepted, playOn, Session, STAGES } from "./session.ts";

// Longer than anything takes on this machine, and so short that a part that nothing comes of is no loss.
const QUIET_MS = 10;
const UNREACHED_MS = 300;

let server: HostileServer;
let logIn: LogIn;

beforeAll(async () => {
  server = await startHostileServer();
  logIn = await loginsTo(server);
});

afterAll(() => server.stop());

const ACCEPTED: readonly Accepted[] = ["none", "publickey", "keyboard-interactive", "password"];
const VERSIONS = [
  "SSH-2.0-x",
  "SSH-1.99-x",
  "SSH-1.5-x",
  "SSH-2.0-",
  "SSH-2.0-OpenSSH_9.9 comment",
  "",
  "HTTP/1.1 400 x",
];

function optionsOf(random: Random): PeerOptions {
  const { hostKey } = server;
  const cipher = random.pick(["aes128-gcm@openssh.com", "aes128-ctr"] as const);
  const lists = random.oneIn(12) ? { [random.below(10)]: random.pick(NASTY_TEXTS) } : {};
  return { hostKey, cipher, isStrict: !random.oneIn(4), keepsCounting: random.oneIn(20), lists };
}

/** Says hostile things at one step of a login. Answers with how many, once the connection is over. */
function meet(peer: Peer, random: Random): { count: () => number } {
  const stage = random.pick(STAGES);
  const accepts = random.pick(ACCEPTED);
  const isEnd = random.oneIn(2);
  const many = 1 + random.below(6);
  let count = 0;
  const speak = ({ facts }: Session) => {
    for (let left = many; left > 0; left--) {
      const payload = anyMessage(facts, random);
      const lie = random.oneIn(12)
        ? { length: random.pick([0, 1, 4, 5, 12, 35_001, 0x40000, 0xffffffff]) }
        : {};
      const padding = random.oneIn(12) ? { padding: random.below(256) } : {};
      for (const piece of pieces(peer.seal({ payload, ...lie, ...padding }), random)) peer.write(piece);
      count++;
    }
  };
  playOn(peer, {
    accepts,
    before: (now, session) => {
      if (now !== stage || count > 0) return false;
      speak(session);
      if (isEnd) setTimeout(() => peer.socket.destroy(), QUIET_MS);
      return isEnd;
    },
  });
  setTimeout(() => peer.socket.destroy(), UNREACHED_MS).unref();
  return { count: () => count };
}

describe("A server before the login", () => {
  it(
    "says whatever it likes at any step, and the attempt ends with a reason",
    { timeout: CAMPAIGN_MS },
    async () => {
      await run({
        kind: "before-login",
        inputs: 1000,
        part: async (random) => {
          let met: ReturnType<typeof meet> | undefined;
          server.serve((socket) => {
            const peer = new Peer(socket, optionsOf(random));
            met = meet(peer, random);
            peer.greet();
          });
          await logIn();
          return met?.count() ?? 0;
        },
      });
    },
  );

  it("says whatever it likes in place of its version", { timeout: CAMPAIGN_MS }, async () => {
    await run({
      kind: "version",
      inputs: 150,
      part: async (random) => {
        const line = Buffer.from(`${random.pick(VERSIONS)}\r\n`);
        const lines = Array.from({ length: 1 + random.below(4) }, () =>
          random.oneIn(3)
            ? Buffer.concat([random.pick(NASTY_TEXTS), Buffer.from("\n")])
            : mutate(line, random),
        );
        server.serve((socket) => {
          for (const piece of pieces(Buffer.concat(lines), random)) socket.write(piece);
          setTimeout(() => socket.destroy(), QUIET_MS);
        });
        await logIn();
        return lines.length;
      },
    });
  });

  it("lets a client in that says nothing out of the ordinary, whatever it accepts", async () => {
    for (const accepts of ACCEPTED)
      for (const cipher of ["aes128-gcm@openssh.com", "aes128-ctr"] as const) {
        let wasReady = false;
        server.serve((socket) => {
          const peer = new Peer(socket, { hostKey: server.hostKey, cipher });
          const session = new Session(peer, { accepts });
          socket.once("close", () => (wasReady = session.isReady));
          peer.greet();
        });
        await logIn();
        expect({ accepts, cipher, wasReady }).toMatchObject({ wasReady: true });
      }
  });
});
