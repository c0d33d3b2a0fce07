// The one file, with channels.ts, that touches what ssh2 does not document. Pinned to the version that it was read in, checked at start-up.
import type { Client } from "ssh2";
import { bindingAvailable } from "ssh2/lib/protocol/crypto.js";
import {
  SUPPORTED_CIPHER,
  SUPPORTED_KEX,
  SUPPORTED_MAC,
  SUPPORTED_SERVER_HOST_KEY,
} from "ssh2/lib/protocol/constants.js";
import { sendPacket } from "ssh2/lib/protocol/utils.js";
import { KexInit, type KexLists } from "ssh2/lib/protocol/kex.js";
import Protocol from "ssh2/lib/protocol/Protocol.js";
import { sshString } from "../../wire-format.ts";
import packageJson from "ssh2/package.json" with { type: "json" };

const SSH2_VERSION = "1.17.0";
const METHODS = [
  "ping",
  "authNone",
  "authPassword",
  "directTcpip",
  "openssh_directStreamLocal",
  "channelOpenConfirm",
  "channelWindowAdjust",
  "rekey",
] as const;

interface PrivateClient {
  _callbacks: ((failed?: unknown) => void)[];
  _protocol: PrivateProtocol;
  _remoteVer: string | undefined;
}

interface PrivateProtocol {
  ping(): void;
  rekey(): void;
  authNone(username: string): void;
  authPassword(username: string, password: string, newPassword: string): void;
  _handlers: {
    EXT_INFO: (protocol: unknown, extensions: { name: string; algs: string[] }[]) => void;
    USERAUTH_PK_OK: (protocol: unknown) => void;
  };
  _kexinit: Buffer | undefined;
  _authsQueue: string[];
  _packetRW: {
    write: { allocStart: number; alloc(length: number): Buffer; finalize(packet: Buffer): Buffer };
  };
  _kex: PrivateKex;
  _offer: { lists: KexLists };
  _debug: ((line: string) => void) | undefined;
}

interface PrivateKex {
  sessionID: Buffer;
  _hostKey: Buffer;
  _sig: Buffer;
  negotiated: { serverHostKey: string };
}

const inside = (client: Client): PrivateClient => client as unknown as PrivateClient;

/** Checks that the installed ssh2 is the one whose inside this file knows. @throws Error that says what differs */
export function assertSsh2(): void {
  if (packageJson.version !== SSH2_VERSION)
    throw new Error(`tund needs ssh2 ${SSH2_VERSION} exactly, and ${packageJson.version} is installed`);
  for (const method of METHODS)
    if (typeof Protocol.prototype[method] !== "function")
      throw new Error(`ssh2's Protocol has no ${method}()`);
  if (typeof KexInit !== "function") throw new Error("ssh2 has no KexInit");
  if (typeof sendPacket !== "function") throw new Error("ssh2 has no sendPacket()");
}

/** Every algorithm that ssh2 can do, in ssh's spelling: it throws on any other name. */
export const supported = {
  ciphers: SUPPORTED_CIPHER,
  kex: SUPPORTED_KEX,
  macs: SUPPORTED_MAC,
  hostKeys: SUPPORTED_SERVER_HOST_KEY,
};

/** Whether ssh2's compiled ciphers are in use; without them the CPU cost about doubles. */
export const nativeCrypto = (): boolean => bindingAvailable;

/**
 * Sends keepalive@openssh.com with want_reply. Any answer, a refusal too, calls `onReply`: the peer lives
 * (RFC 4254 section 4: replies to global requests come in order, so the queue is ssh2's own).
 */
export function ping(client: Client, onReply: (failed?: unknown) => void): void {
  const { _callbacks, _protocol } = inside(client);
  _callbacks.push(onReply);
  _protocol.ping();
}

/**
 * Begins a key exchange (RFC 4253 section 9), unless one is under way; what is to be sent meanwhile waits in ssh2. Its end is
 * the client's next 'handshake'. To be called on an authenticated connection; on one that has ended it does nothing.
 */
export function rekey(client: Client): void {
  try {
    inside(client)._protocol.rekey();
  } catch {
    // 'Instance unusable': its end is told elsewhere.
  }
}

/** Whether an exchange of keys is under way, whoever asked for it. */
export const isExchangingKeys = (client: Client): boolean => inside(client)._protocol._kexinit !== undefined;

/** The server's software version (RFC 4253 section 4.2), once it has been read. */
export const serverVersion = (client: Client): string | null => inside(client)._remoteVer ?? null;

/** The server's host key and its signature over the key exchange: to be asked for in the host verifier, and not later. */
export function hostProof(client: Client): { hostKey: Buffer; signature: Buffer } {
  const { _hostKey, _sig } = inside(client)._protocol._kex;
  return { hostKey: Buffer.from(_hostKey), signature: Buffer.from(_sig) };
}

const arrays = ({ cipher, mac, compress, lang }: KexLists["cs"]) => ({
  cipher: cipher.array,
  mac: mac.array,
  compress: compress.array,
  lang: lang.array,
});

const CERTIFICATE = "-cert-v01@openssh.com";

/**
 * Host certificates, which ssh2 does not know: it is made to offer their algorithms before the others, and to take the key
 * that is certified for the server's once the host verifier has said yes to the certificate.
 */
export class HostCertificates {
  readonly #protocol: PrivateProtocol;
  #algorithm = "";

  /** To be made right behind connect(), before the server can have spoken. */
  constructor(client: Client, algorithms: readonly string[]) {
    const protocol = inside(client)._protocol;
    this.#protocol = protocol;
    if (algorithms.length === 0) return;
    const { kex, serverHostKey, cs, sc } = protocol._offer.lists;
    protocol._offer = new KexInit({
      kex: kex.array,
      serverHostKey: [...algorithms, ...serverHostKey.array],
      cs: arrays(cs),
      sc: arrays(sc),
    });
    this.#watchExchanges();
  }

  /** Has ssh2 verify the exchange with the key that `certificate` certifies; that is to be ssh2's own buffer. */
  use(certificate: Buffer, key: Buffer): void {
    const { negotiated } = this.#protocol._kex;
    negotiated.serverHostKey = this.#algorithm.replace(CERTIFICATE, "");
    const type = key.readUInt32BE();
    // What is hashed is the whole certificate; what is parsed are these two.
    Object.assign(certificate, {
      utf8Slice: () => key.toString("utf8", 4, 4 + type),
      slice: () => key.subarray(4 + type),
    });
  }

  // ssh2 wants the key's type to be the algorithm's name, which for RSA certificates it is not.
  #watchExchanges(): void {
    let current: PrivateKex;
    Object.defineProperty(this.#protocol, "_kex", {
      get: () => current,
      set: (kex: PrivateKex) => {
        current = kex;
        this.#algorithm = kex.negotiated.serverHostKey;
        kex.negotiated.serverHostKey = this.#algorithm.replace(/^rsa-sha2-\d+-cert/, "ssh-rsa-cert");
      },
    });
  }
}

/** What both sides had to offer, of what was compared last. */
export interface Offers {
  ours: string;
  theirs: string;
}

/** Listens to the negotiation until the handshake is over: ssh2 tells nobody but its debug log what the server offers. */
export function overhearNegotiation(client: Client): () => Offers | undefined {
  const protocol = inside(client)._protocol;
  let [ours, theirs]: (string | undefined)[] = [];
  protocol._debug = (line) => {
    const [, side, list] = /^Handshake: \((local|remote)\) [^:]*: (.*)$/.exec(line) ?? [];
    if (side === "local") ours = list;
    if (side === "remote") theirs = list;
  };
  client.once("handshake", () => (protocol._debug = undefined));
  return () => (ours === undefined || theirs === undefined ? undefined : { ours, theirs });
}

const USERAUTH_REQUEST = 50; // RFC 4252 section 6
const CONNECTION_SERVICE = "ssh-connection";

/**
 * User authentication where ssh2's own will not do: it knows neither certificates nor security keys, tells partial success
 * for keys of an agent to nobody, and signs at once or never. ssh2 is told to try `none`; what goes out instead is ours.
 */
export class UserAuthentication {
  readonly #protocol: PrivateProtocol;
  readonly #user: string;
  #request: Buffer | undefined;
  #serverAlgorithms: string[] | null = null;

  /** @param onKeyAccepted called when the server would take the key that it was asked about (RFC 4252 section 7) */
  constructor(client: Client, user: string, onKeyAccepted: () => void) {
    const protocol = inside(client)._protocol;
    this.#protocol = protocol;
    this.#user = user;
    const { EXT_INFO } = protocol._handlers;
    protocol._handlers.EXT_INFO = (self, extensions) => {
      this.#serverAlgorithms ??= extensions.find(({ name }) => name === "server-sig-algs")?.algs ?? null;
      EXT_INFO(self, extensions);
    };
    protocol._handlers.USERAUTH_PK_OK = onKeyAccepted;
    const authNone = protocol.authNone.bind(protocol);
    protocol.authNone = (username) => {
      if (this.#request === undefined) authNone(username);
      else this.#send(this.#request);
    };
  }

  /** The signature algorithms that the server takes (RFC 8308 section 3.1); null when it did not say. */
  get serverAlgorithms(): readonly string[] | null {
    return this.#serverAlgorithms;
  }

  /** The next `none` asks whether the server takes this key. */
  askAbout(algorithm: string, key: Buffer): void {
    this.#request = this.#payload(algorithm, key, false);
  }

  /** The next `none` is one. */
  askNothing(): void {
    this.#request = undefined;
  }

  /** What has to be signed to log in with a key. */
  toBeSigned(algorithm: string, key: Buffer): Buffer {
    return Buffer.concat([sshString(this.#protocol._kex.sessionID), this.#payload(algorithm, key, true)]);
  }

  /** Logs in with a key. */
  prove(algorithm: string, key: Buffer, signature: Buffer): void {
    this.#send(Buffer.concat([this.#payload(algorithm, key, true), sshString(signature)]));
  }

  /** Answers SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 section 8). */
  changePassword(old: string, fresh: string): void {
    this.#protocol.authPassword(this.#user, old, fresh);
  }

  /** What the first key exchange came to (RFC 4253 section 7.2). */
  get sessionId(): Buffer {
    return this.#protocol._kex.sessionID;
  }

  #payload(algorithm: string, key: Buffer, isSigned: boolean): Buffer {
    return Buffer.concat([
      Buffer.from([USERAUTH_REQUEST]),
      ...[this.#user, CONNECTION_SERVICE, "publickey"].map(sshString),
      Buffer.from([isSigned ? 1 : 0]),
      sshString(algorithm),
      sshString(key),
    ]);
  }

  #send(payload: Buffer): void {
    const { write } = this.#protocol._packetRW;
    const at = write.allocStart;
    const packet = write.alloc(payload.length);
    packet.set(payload, at);
    this.#protocol._authsQueue.push("publickey");
    sendPacket(this.#protocol, write.finalize(packet));
  }
}
