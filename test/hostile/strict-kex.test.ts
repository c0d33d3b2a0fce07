// Strict key exchange (OpenSSH PROTOCOL section 1.10, against CVE-2023-48795): whoever puts packets into the first key
// exchange, or has the packets counted on behind it, is not logged in to.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LogIn, loginsTo } from "./login.ts";
import { message, Peer, type PeerOptions } from "./peer.ts";
import { type HostileServer, startHostileServer } from "./server.ts";
import { playOn, type Stage } from "./session.ts";

let server: HostileServer;
let logIn: LogIn;

beforeAll(async () => {
  server = await startHostileServer();
  logIn = await loginsTo(server);
});

afterAll(() => server.stop());

// What any client takes at any other time: SSH_MSG_IGNORE, SSH_MSG_DEBUG, SSH_MSG_UNIMPLEMENTED.
const EXTRA = [
  ["IGNORE", message(2, "")],
  ["DEBUG", Buffer.concat([message(4), Buffer.alloc(9)])],
  ["UNIMPLEMENTED", message(3, 0)],
] as const;
const STEPS: readonly Stage[] = ["kexinit", "reply", "newkeys"];

/** Logs in while the server says something more before a step; tells whether it was asked for a service, too. */
async function meets(more: { stage?: Stage; payload?: Buffer }, options: Omit<PeerOptions, "hostKey">) {
  let isTrusted = false;
  server.serve((socket) => {
    const peer = new Peer(socket, { hostKey: server.hostKey, ...options });
    playOn(peer, {
      accepts: "none",
      before: (stage) => {
        if (stage === more.stage && more.payload !== undefined) peer.send(more.payload);
        isTrusted ||= stage === "service";
        return false;
      },
    });
    peer.greet();
  });
  const failure = await logIn();
  return { isIn: failure === null, isTrusted };
}

describe("Strict key exchange", () => {
  it.each(STEPS.flatMap((stage) => EXTRA.map(([name, payload]) => ({ stage, name, payload }))))(
    "refuses a server that sends $name before its $stage",
    async (more) => {
      expect(await meets(more, { isStrict: true })).toEqual({ isIn: false, isTrusted: false });
    },
  );

  it.each(STEPS.map((stage) => ({ stage, payload: EXTRA[0][1] })))(
    "lets a server without it send IGNORE before its $stage, as RFC 4253 does",
    async (more) => {
      expect(await meets(more, { isStrict: false })).toEqual({ isIn: true, isTrusted: true });
    },
  );

  it("refuses a server that counts its packets on behind the new keys", async () => {
    const options = { cipher: "aes128-ctr", isStrict: true } as const;
    expect(await meets({}, { ...options, keepsCounting: true })).toMatchObject({ isIn: false });
    expect(await meets({}, options)).toEqual({ isIn: true, isTrusted: true });
  });
});
