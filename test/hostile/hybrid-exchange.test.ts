// Post-quantum key exchange with servers that break its rules, and with one that keeps them: whom it is not well with is not
// logged in to, and is told why.
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LogIn, loginsTo } from "./login.ts";
import { message, MSG, Peer, type PeerOptions } from "./peer.ts";
import { type HostileServer, startHostileServer } from "./server.ts";
import { playOn } from "./session.ts";

const MLKEM = "mlkem768x25519-sha256";
const SNTRUP = "sntrup761x25519-sha512@openssh.com";
const STRICT = "kex-strict-s-v00@openssh.com";
const CIPHERTEXT = 1088;

let server: HostileServer;
let logIn: LogIn;

beforeAll(async () => {
  server = await startHostileServer();
  logIn = await loginsTo(server);
});

afterAll(() => server.stop());

const kem: PeerOptions["kem"] = {
  publicKeyBytes: 1184,
  encapsulate: (publicKey) => {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey);
    return { ciphertext: Buffer.from(cipherText), shared: Buffer.from(sharedSecret) };
  },
};

/** Logs in to a server that offers this; gives why that failed, or null. */
async function failureWith(
  options: Omit<PeerOptions, "hostKey">,
  instead: (peer: Peer) => void = () => undefined,
  attempt: LogIn = logIn,
): Promise<string | null> {
  server.serve((socket) => {
    const peer = new Peer(socket, { hostKey: server.hostKey, ...options });
    playOn(peer, {
      accepts: "none",
      before: (stage) => {
        if (stage !== "reply" || options.kem !== undefined || options.lists?.[0]?.includes("mlkem") !== true)
          return false;
        instead(peer);
        return true;
      },
    });
    peer.greet();
  });
  return (await attempt())?.message ?? null;
}

const mlkemAlone = { lists: { 0: `${MLKEM},${STRICT}` } };

const replyOf = (peer: Peer, value: Buffer): void =>
  peer.send(
    message(MSG.ECDH_REPLY, peer.hostKeyBlob, value, message(0, "ssh-ed25519", randomBytes(64)).subarray(1)),
  );

const point = (): Buffer =>
  generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32);

describe("a server with a hybrid exchange", () => {
  it("is logged in to when it keeps to the rules", async () => {
    expect(await failureWith({ ...mlkemAlone, kem })).toBeNull();
  });

  it.each([0, 1, 32, 1119, 1121, 30_000])(
    "is not logged in to when it has %i bytes for it",
    async (length) => {
      const why = await failureWith(mlkemAlone, (peer) => replyOf(peer, randomBytes(length)));
      expect(why).toContain(`it sent ${length} bytes for ${MLKEM}: there are 1120`);
    },
  );

  it.each([
    ["zero", Buffer.alloc(32)],
    ["one", Buffer.concat([Buffer.from([1]), Buffer.alloc(31)])],
    [
      "a point of order 8",
      Buffer.from("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "hex"),
    ],
  ])("is not logged in to when its public value of X25519 is %s", async (_, value) => {
    const why = await failureWith(mlkemAlone, (peer) =>
      replyOf(peer, Buffer.concat([randomBytes(CIPHERTEXT), value])),
    );
    expect(why).toContain("it sent no public value of X25519");
  });

  it("is not logged in to when its ciphertext is for nobody: its signature is then over something else", async () => {
    const why = await failureWith({
      ...mlkemAlone,
      kem: {
        publicKeyBytes: 1184,
        encapsulate: () => ({ ciphertext: randomBytes(CIPHERTEXT), shared: randomBytes(32) }),
      },
    });
    expect(why).toContain("signature verification failed");
  });

  it("is not logged in to when it joins the two secrets with a part left out", async () => {
    const halved = {
      publicKeyBytes: 1184,
      encapsulate: (key: Buffer) => ({ ...kem.encapsulate(key), shared: Buffer.alloc(0) }),
    };
    expect(await failureWith({ ...mlkemAlone, kem: halved })).toContain("signature verification failed");
  });

  it.each<[string, (peer: Peer) => void]>([
    ["goes", (peer) => peer.socket.resetAndDestroy()],
    ["says goodbye", (peer) => peer.send(message(MSG.DISCONNECT, 11, "enough", ""))],
    ["begins another exchange", (peer) => peer.exchangeKeys()],
    ["has no reply, but new keys", (peer) => peer.send(Buffer.from([MSG.NEWKEYS]))],
    ["has a reply that ends in the middle", (peer) => peer.send(message(MSG.ECDH_REPLY, peer.hostKeyBlob))],
    ["has another message of key exchange", (peer) => peer.send(message(33, "", ""))],
    [
      "replies twice, and goes",
      (peer) => {
        replyOf(peer, Buffer.concat([randomBytes(CIPHERTEXT), point()]));
        replyOf(peer, Buffer.concat([randomBytes(CIPHERTEXT), point()]));
        peer.socket.destroySoon();
      },
    ],
    [
      "has a right length, and goes while it is computed",
      (peer) => {
        replyOf(peer, Buffer.concat([randomBytes(CIPHERTEXT), point()]));
        peer.socket.destroySoon();
      },
    ],
  ])("is not logged in to, and nothing is broken, when it %s", async (_, instead) => {
    expect(await failureWith(mlkemAlone, instead)).not.toBeNull();
    expect(await failureWith({ ...mlkemAlone, kem })).toBeNull();
  });

  it("that has none in common is told of with all that tund offers, and all that it offers", async () => {
    const why = await failureWith({
      lists: { 0: `nothing-known,sntrup4591761x25519-sha512@tinyssh.org,${STRICT}` },
    });
    expect(why).toContain("it offers nothing-known, sntrup4591761x25519-sha512@tinyssh.org");
    expect(why).toMatch(/tund offers mlkem768x25519-sha256, sntrup761x25519-sha512, .*curve25519-sha256/);
  });

  it("whose host keys are of no use is told of with those: that a hybrid was agreed on hides nothing", async () => {
    const why = await failureWith({ ...mlkemAlone, lists: { ...mlkemAlone.lists, 1: "ssh-unknown" } });
    expect(why).toContain("it offers ssh-unknown; tund offers ssh-ed25519");
  });
});

// RFC 4253 section 7: both sides have to prefer the same, or what follows is not read.
describe("a packet that was guessed", () => {
  const junk = message(MSG.ECDH_REPLY, "for", "another", "exchange");
  let logInThere: LogIn;

  beforeAll(async () => {
    await server.addHost("plain", { HostKeyAlgorithms: "ssh-ed25519,rsa-sha2-512" });
    logInThere = await loginsTo(server, "plain");
  });

  const failureThere = (options: Omit<PeerOptions, "hostKey">) => failureWith(options, undefined, logInThere);

  it.each([
    ["the method was guessed wrong, and a hybrid is agreed on", `curve25519-sha256,${MLKEM},${STRICT}`, kem],
    [
      "the method was guessed wrong, and another is agreed on",
      `nothing-known,curve25519-sha256,${STRICT}`,
      undefined,
    ],
    [
      "what is agreed on was guessed, and is not what we would have",
      `curve25519-sha256,${STRICT}`,
      undefined,
    ],
  ])("is passed over where %s", async (_, list, withKem) => {
    const options = { lists: { 0: list }, guess: junk };
    expect(await failureThere(withKem === undefined ? options : { ...options, kem: withKem })).toBeNull();
  });

  it("is passed over where the method was guessed right, and the host key's algorithm wrong", async () => {
    const lists = { 0: `${MLKEM},${STRICT}`, 1: "rsa-sha2-512,ssh-ed25519" };
    expect(await failureThere({ lists, guess: junk, kem })).toBeNull();
  });

  it("is read where both were guessed right, and then it had better be right", async () => {
    expect(await failureThere({ ...mlkemAlone, kem })).toBeNull();
    expect(await failureThere({ ...mlkemAlone, guess: junk, kem })).not.toBeNull();
  });
});

it("new keys are exchanged by another method when the server has others by then", async () => {
  let exchanges = 0;
  server.serve((socket) => {
    const options: PeerOptions = { ...mlkemAlone, hostKey: server.hostKey, kem };
    const peer = new Peer(socket, options);
    playOn(peer, {
      accepts: "none",
      before: (stage) => {
        if (stage !== "service") return false;
        delete options.kem;
        options.lists = { 0: `curve25519-sha256@libssh.org,${STRICT}` };
        peer.exchangeKeys();
        return true; // which waits for the new keys
      },
    });
    const handle = peer.onPayload;
    peer.onPayload = (payload) => {
      handle(payload);
      if (payload[0] === MSG.NEWKEYS && ++exchanges === 2)
        peer.send(message(MSG.SERVICE_ACCEPT, "ssh-userauth"));
    };
    peer.greet();
  });
  expect(await logIn()).toBeNull();
  expect(exchanges).toBe(2);
});

describe("sntrup761", () => {
  it.each([0, 1070, 1072])("is not done with a server that has %i bytes for it", async (length) => {
    server.serve((socket) => {
      const peer = new Peer(socket, { hostKey: server.hostKey, lists: { 0: `${SNTRUP},${STRICT}` } });
      playOn(peer, {
        accepts: "none",
        before: (stage) => {
          if (stage === "reply") replyOf(peer, randomBytes(length));
          return stage === "reply";
        },
      });
      peer.greet();
    });
    expect((await logIn())?.message).toContain(`it sent ${length} bytes for ${SNTRUP}: there are 1071`);
  });
});
