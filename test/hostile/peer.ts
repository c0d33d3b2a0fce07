// The server's side of SSH's transport (RFC 4253), made to break its rules: whatever it is told to send goes out at once, in
// whatever state, in a packet that is valid or not.
import {
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import type { Socket } from "node:net";
import { BLOCK, type Cipher, type Keys, Opener, Sealer } from "./packet-keys.ts";
import { mpint, Reader, sshString, uint32 } from "../../daemon/wire-format.ts";

export const MSG = {
  DISCONNECT: 1,
  SERVICE_REQUEST: 5,
  SERVICE_ACCEPT: 6,
  KEXINIT: 20,
  NEWKEYS: 21,
  ECDH_INIT: 30,
  ECDH_REPLY: 31,
  USERAUTH_REQUEST: 50,
  USERAUTH_SUCCESS: 52,
  GLOBAL_REQUEST: 80,
  REQUEST_SUCCESS: 81,
  REQUEST_FAILURE: 82,
  CHANNEL_OPEN: 90,
  CHANNEL_OPEN_CONFIRMATION: 91,
  CHANNEL_WINDOW_ADJUST: 93,
  CHANNEL_DATA: 94,
  CHANNEL_EOF: 96,
  CHANNEL_CLOSE: 97,
} as const;

/** What a packet begins with, and its fields behind it. */
export const message = (type: number, ...fields: readonly (Buffer | string | number)[]): Buffer =>
  Buffer.concat([
    Buffer.from([type]),
    ...fields.map((field) => (typeof field === "number" ? uint32(field) : sshString(field))),
  ]);

export interface HostKey {
  blob: Buffer;
  privateKey: KeyObject;
}

/** An Ed25519 host key. */
export function newHostKey(): HostKey {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return { privateKey, blob: Buffer.concat([sshString("ssh-ed25519"), sshString(rawOf(publicKey))]) };
}

const rawOf = (key: KeyObject): Buffer => Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");

export interface PeerOptions {
  hostKey: HostKey;
  cipher?: Cipher;
  /** whether it offers strict key exchange (OpenSSH PROTOCOL section 1.10) */
  isStrict?: boolean;
  /** whether it counts packets on where strict key exchange has them counted anew */
  keepsCounting?: boolean;
  /** the name-lists of its KEXINIT, by their number, in place of the valid ones (RFC 4253 section 7.1) */
  lists?: Readonly<Record<number, string | Buffer>>;
  version?: string;
  /** whether its KEXINIT says that a guessed packet follows, which is sent then */
  guess?: Buffer;
  /** has it exchange keys by a hybrid of X25519 and this, with SHA-256: what it does with a public key of so many bytes */
  kem?: {
    publicKeyBytes: number;
    encapsulate: (publicKey: Buffer) => { ciphertext: Buffer; shared: Buffer };
  };
}

/** A packet that need not be one: what its fields say is what they are told to, where they are told. */
export interface Packet {
  payload: Buffer;
  /** the packet_length field */
  length?: number;
  /** the padding_length field */
  padding?: number;
}

const MOST_RECEIVED = 1 << 20;

export class Peer {
  readonly socket: Socket;
  readonly #options: PeerOptions;
  readonly #version: string;
  #clientVersion: string | undefined;
  #received: Buffer = Buffer.alloc(0);
  #sealer: Sealer | undefined;
  #opener: Opener | undefined;
  #nextOpener: Keys | undefined;
  #sent = 0;
  #ours: Buffer | undefined;
  #theirs: Buffer | undefined;
  #sessionId: Buffer | undefined;
  #isStrict = false;

  /** Called with every payload that came, behind what the key exchange makes of it. */
  onPayload: (payload: Buffer) => void = () => undefined;
  /** Called before a step of the key exchange, which is not taken when it answers true. */
  beforeStep: (step: "kexinit" | "reply" | "newkeys") => boolean = () => false;

  constructor(socket: Socket, options: PeerOptions) {
    this.socket = socket;
    this.#options = options;
    this.#version = options.version ?? "SSH-2.0-OpenSSH_9.9";
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
  }

  /** Its host key, as it is on the wire. */
  get hostKeyBlob(): Buffer {
    return this.#options.hostKey.blob;
  }

  /** Says its version; the key exchange goes on by itself once the client has said its own. */
  greet(): void {
    this.write(Buffer.from(`${this.#version}\r\n`));
  }

  /** Sends bytes as they are. */
  write(bytes: Buffer): void {
    if (!this.socket.destroyed && this.socket.writable) this.socket.write(bytes);
  }

  /** Sends a payload in a packet, under whatever keys there are. */
  send(payload: Buffer): void {
    this.write(this.seal({ payload }));
  }

  /** Makes a packet, and counts it. */
  seal({ payload, length, padding }: Packet): Buffer {
    const clear = this.#sealer?.isLengthClear === true ? 4 : 0;
    let fill = BLOCK - ((5 + payload.length - clear) % BLOCK);
    if (fill < 4) fill += BLOCK;
    const packet = Buffer.concat([
      uint32(length ?? 1 + payload.length + fill),
      Buffer.from([padding ?? fill]),
      payload,
      Buffer.alloc(fill),
    ]);
    const sealed = this.#sealer?.seal(packet, this.#sent) ?? packet;
    this.#sent = (this.#sent + 1) >>> 0;
    return sealed;
  }

  /** Begins a key exchange, the first or another. */
  exchangeKeys(): void {
    if (this.beforeStep("kexinit")) return;
    this.#ours = this.kexInit();
    this.send(this.#ours);
    if (this.#options.guess !== undefined) this.send(this.#options.guess);
  }

  /** A KEXINIT as this server would send one. */
  kexInit(): Buffer {
    const { cipher = "aes128-gcm@openssh.com", isStrict = true, lists = {} } = this.#options;
    const strict = isStrict ? ",kex-strict-s-v00@openssh.com" : "";
    const macs = "hmac-sha2-256";
    const all = [
      `curve25519-sha256${strict}`,
      "ssh-ed25519",
      cipher,
      cipher,
      macs,
      macs,
      "none",
      "none",
      "",
      "",
    ];
    const fields = all.map((list, index) => sshString(lists[index] ?? list));
    const end = Buffer.from([this.#options.guess === undefined ? 0 : 1, 0, 0, 0, 0]);
    return Buffer.concat([Buffer.from([MSG.KEXINIT]), randomBytes(16), ...fields, end]);
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    if (this.#received.length > MOST_RECEIVED) this.socket.destroy();
    if (this.#clientVersion === undefined) {
      const end = this.#received.indexOf("\n");
      if (end === -1) return;
      this.#clientVersion = this.#received.toString("latin1", 0, end).trimEnd();
      this.#received = this.#received.subarray(end + 1);
      this.exchangeKeys();
    }
    for (let payload = this.#open(); payload !== undefined; payload = this.#open()) {
      this.#exchange(payload);
      this.onPayload(payload);
    }
  }

  #open(): Buffer | undefined {
    const opener = this.#opener ?? plain;
    const length = opener.lengthOf(this.#received);
    if (length === undefined || this.#received.length < length) return undefined;
    const packet = opener.open(this.#received.subarray(0, length));
    this.#received = this.#received.subarray(length);
    return packet.subarray(5, packet.length - (packet[4] ?? 0));
  }

  #exchange(payload: Buffer): void {
    switch (payload[0]) {
      case MSG.KEXINIT:
        if (this.#sessionId === undefined)
          this.#isStrict =
            this.#options.isStrict !== false && payload.includes("kex-strict-c-v00@openssh.com");
        this.#theirs = payload;
        if (this.#ours === undefined) this.exchangeKeys();
        break;
      case MSG.ECDH_INIT:
        if (!this.beforeStep("reply")) this.#reply(payload);
        break;
      case MSG.NEWKEYS:
        if (this.#nextOpener !== undefined) this.#opener = new Opener(this.#nextOpener, this.#options.cipher);
        break;
      case undefined:
      default:
    }
  }

  #reply(init: Buffer): void {
    if (this.#ours === undefined || this.#theirs === undefined) return;
    const { hostKey, kem } = this.#options;
    const theirs = new Reader(init.subarray(1)).string();
    const encapsulated = kem?.encapsulate(theirs.subarray(0, kem.publicKeyBytes));
    const { publicKey, privateKey } = generateKeyPairSync("x25519");
    const theirKey = createPublicKey({
      key: { kty: "OKP", crv: "X25519", x: theirs.subarray(-32).toString("base64url") },
      format: "jwk",
    });
    const agreed = diffieHellman({ privateKey, publicKey: theirKey });
    const secret =
      encapsulated === undefined ? mpint(agreed) : sshString(sha256(encapsulated.shared, agreed));
    const point = Buffer.concat([encapsulated?.ciphertext ?? Buffer.alloc(0), rawOf(publicKey)]);
    const texts = [
      this.#clientVersion ?? "",
      this.#version,
      this.#theirs,
      this.#ours,
      hostKey.blob,
      theirs,
      point,
    ];
    const hash = sha256(...texts.map((text) => sshString(text)), secret);
    this.#sessionId ??= hash;
    const id = this.#sessionId;
    const derive = (letter: string) => sha256(secret, hash, Buffer.from(letter), id);
    const signature = message(0, "ssh-ed25519", sign(null, hash, hostKey.privateKey)).subarray(1);
    this.send(message(MSG.ECDH_REPLY, hostKey.blob, point, signature));
    this.#ours = undefined;
    this.#theirs = undefined;
    this.#nextOpener = { iv: derive("A"), key: derive("C"), mac: derive("E") };
    const sealing = { iv: derive("B"), key: derive("D"), mac: derive("F") };
    if (this.beforeStep("newkeys")) return;
    this.send(Buffer.from([MSG.NEWKEYS]));
    this.#sealer = new Sealer(sealing, this.#options.cipher);
    if (this.#isStrict && this.#options.keepsCounting !== true) this.#sent = 0;
  }
}

const sha256 = (...parts: readonly Buffer[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const plain = {
  lengthOf: (received: Buffer) => (received.length < 4 ? undefined : 4 + received.readUInt32BE()),
  open: (packet: Buffer) => packet,
};
