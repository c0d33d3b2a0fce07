// The undocumented members of ssh2 that this folder touches, in one place: their types, and a check at start-up that every one
// of them is there. Pinned to the version that they were read in.
import { Duplex } from "node:stream";
import { Client } from "ssh2";
import { bindingAvailable } from "ssh2/lib/protocol/crypto.js";
import {
  DISCONNECT_REASON_BY_VALUE,
  DEFAULT_KEX,
  SUPPORTED_CIPHER,
  SUPPORTED_KEX,
  SUPPORTED_MAC,
  SUPPORTED_SERVER_HOST_KEY,
} from "ssh2/lib/protocol/constants.js";
import handlers from "ssh2/lib/protocol/handlers.js";
import { KexInit, type KexLists } from "ssh2/lib/protocol/kex.js";
import { doFatalError, sendPacket } from "ssh2/lib/protocol/utils.js";
import packageJson from "ssh2/package.json" with { type: "json" };

const SSH2_VERSION = "1.17.0";

/** Message handlers by name: ssh2 looks them up for every packet. */
export interface Handlers {
  EXT_INFO: (protocol: Protocol, extensions: { name: string; algs: string[] }[]) => void;
  USERAUTH_BANNER: (protocol: Protocol, message: string) => void;
  USERAUTH_PK_OK: (protocol: Protocol, algorithm: string, key: Buffer) => void;
  USERAUTH_PASSWD_CHANGEREQ: (protocol: Protocol, message: string) => void;
  USERAUTH_INFO_REQUEST: (protocol: Protocol, ...request: unknown[]) => void;
  CHANNEL_OPEN: (protocol: Protocol, open: ChannelOpen) => void;
  CHANNEL_DATA: (protocol: Protocol, id: number, data: Buffer) => void;
  CHANNEL_EXTENDED_DATA: (protocol: Protocol, id: number, data: Buffer) => void;
  CHANNEL_WINDOW_ADJUST: (protocol: Protocol, id: number, bytes: number) => void;
}

/** SSH_MSG_CHANNEL_OPEN (RFC 4254 section 5.1), read. */
export interface ChannelOpen {
  type: string;
  sender: number;
  window: number;
  packetSize: number;
}

export interface Cipher {
  allocPacket(payloadLength: number): Buffer;
  encrypt(packet: Buffer): void;
  free(): void;
  _onWrite(packet: Buffer): void;
  /** the sequence number of the next packet (RFC 4253 section 6.4) */
  outSeqno: number;
}

export interface Decipher {
  /** Gives where it stopped; nothing when it used all. */
  decrypt(chunk: Uint8Array, at: number, length: number): number | undefined;
  free(): void;
  /** Gives `false` to have decrypt() stop behind this packet. */
  _onPayload(payload: Buffer): number | false | undefined;
  _packet: Uint8Array | null;
}

/** What makes payloads of packets: it decompresses, where that was negotiated. */
export interface PacketReader {
  read(payload: Buffer): Buffer;
  cleanup(): void;
  _zlib?: { _maxOutputLength: number };
}

export interface PacketWriter {
  allocStart: number;
  allocStartKEX: number;
  alloc(length: number, isKeyExchange?: boolean): Buffer;
  finalize(packet: Buffer, isKeyExchange?: boolean): Buffer;
  cleanup(): void;
}

/** One key exchange. */
export interface KeyExchange {
  type: string;
  hashName: string;
  sessionID: Buffer;
  negotiated: { kex: string; serverHostKey: string };
  _hostKey: Buffer;
  _sig: Buffer;
  _public: Buffer | null;
  /** of group exchange: what the server chose */
  _prime: Buffer | null;
  _generator: Buffer | null;
  /** the server's KEXINIT, which is hashed */
  _remoteKexinit: Buffer;
  start(): void;
  parse(payload: Buffer): unknown;
  generateKeys(): void;
  getPublicKey(): Buffer | undefined;
  convertPublicKey(key: Buffer): Buffer;
  computeSecret(theirs: Buffer): Buffer | Error;
  getDHParams(): { prime: Buffer; generator: Buffer } | undefined;
  setDHParams(prime: Buffer, generator: Buffer): void;
}

type OpenChannel = (id: number, window: number, packetSize: number, to: unknown) => void;

export interface Protocol {
  parse(chunk: Buffer, at: number, length: number): void;
  ping(): void;
  rekey(): void;
  authNone(username: string): void;
  authPassword(username: string, password: string, newPassword: string): void;
  authInfoRes(answers?: readonly string[]): void;
  directTcpip: OpenChannel;
  openssh_directStreamLocal: OpenChannel;
  channelOpenConfirm(remote: number, local: number, window: number, packetSize: number): void;
  channelOpenFail(remote: number, reason: number, description: string): void;
  channelFailure(remote: number): void;
  channelWindowAdjust(remote: number, bytes: number): void;
  requestSuccess(data?: Buffer): void;
  requestFailure(): void;
  _parse(chunk: Buffer, at: number, length: number): number | undefined;
  _onPacket(): void;
  _onWrite(data: Buffer): void;
  _destruct: ((reason?: string) => void) | undefined;
  _handlers: Handlers;
  _kexinit: Buffer | undefined;
  _queue: Buffer[] | undefined;
  _authsQueue: string[];
  _authenticated: boolean;
  _strictMode: boolean | undefined;
  _packetRW: { read: PacketReader; write: PacketWriter };
  _cipher: Cipher;
  _decipher: Decipher | undefined;
  _kex: KeyExchange;
  _offer: { lists: KexLists };
  _debug: ((line: string) => void) | undefined;
}

export interface PrivateClient {
  _callbacks: ((failed?: unknown, data?: Buffer | null) => void)[];
  _protocol: Protocol;
  _remoteVer: string | undefined;
  _chanMgr: {
    get(id: number): unknown;
    /** Gives the number of a channel whose opening is to be told to `opened`, by its `type`; -1 when there is none left. */
    add(opened: object): number;
    remove(id: number): void;
  };
  _forwarding: Record<string, unknown>;
  _forwardingUnix: Record<string, unknown>;
}

/** ssh2's client, with the members that it does not document. */
export const inside = (client: Client): PrivateClient => client as unknown as PrivateClient;

const CLIENT = ["_callbacks", "_protocol", "_chanMgr", "_forwarding", "_forwardingUnix"] as const;

const METHODS = (
  "parse ping rekey authNone authPassword authInfoRes directTcpip openssh_directStreamLocal " +
  "channelOpenConfirm channelOpenFail channelFailure channelWindowAdjust requestSuccess " +
  "requestFailure _parse _onPacket _onWrite _destruct"
).split(" ");

// Some of them are undefined until there is something to hold.
const FIELDS = (
  "_handlers _kexinit _queue _authsQueue _authenticated _strictMode _packetRW _cipher " +
  "_decipher _kex _offer _debug"
).split(" ");

const HANDLERS = (
  "USERAUTH_BANNER USERAUTH_PASSWD_CHANGEREQ USERAUTH_PK_OK USERAUTH_INFO_REQUEST EXT_INFO " +
  "CHANNEL_OPEN CHANNEL_DATA CHANNEL_EXTENDED_DATA CHANNEL_WINDOW_ADJUST"
).split(" ");

const PACKETS = {
  read: ["read", "cleanup"],
  write: ["allocStart", "allocStartKEX", "alloc", "finalize", "cleanup"],
} as const;

/**
 * Checks that the installed ssh2 is the one whose inside is known here: its version, and on a client that is connected to
 * nothing every member that is touched.
 * @throws Error that says what differs
 */
export function assertSsh2(): void {
  if (packageJson.version !== SSH2_VERSION)
    throw new Error(`tund needs ssh2 ${SSH2_VERSION} exactly, and ${packageJson.version} is installed`);
  const functions = { KexInit, sendPacket, doFatalError };
  for (const [name, value] of Object.entries(functions)) assert(typeof value === "function", name);
  const nowhere = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const client = new Client();
  client.on("error", () => undefined);
  client.connect({ sock: nowhere, username: "nobody", readyTimeout: 0 });
  const parts = inside(client);
  for (const name of CLIENT) assert(parts[name] !== undefined, `client.${name}`);
  assert("_remoteVer" in parts, "client._remoteVer");
  const protocol = parts._protocol as unknown as Record<string, unknown>;
  for (const name of METHODS) assert(typeof protocol[name] === "function", `protocol.${name}()`);
  for (const name of FIELDS) assert(name in protocol, `protocol.${name}`);
  for (const name of HANDLERS) assert(name in parts._protocol._handlers, `the handler of ${name}`);
  assert(typeof handlers[2] === "function", "the handler of SSH_MSG_IGNORE");
  for (const [side, names] of Object.entries(PACKETS))
    for (const name of names) assert(name in parts._protocol._packetRW[side as keyof typeof PACKETS], name);
  for (const name of ["encrypt", "allocPacket", "free", "_onWrite", "outSeqno"])
    assert(name in parts._protocol._cipher, `the cipher's ${name}`);
  for (const name of ["get", "add", "remove"] as const)
    assert(typeof parts._chanMgr[name] === "function", `the channels' ${name}()`);
  assert(Array.isArray(parts._protocol._offer.lists.kex.array), "the offered algorithms");
  nowhere.destroy();
}

function assert(isThere: boolean, what: string): void {
  if (!isThere) throw new Error(`the inside of ssh2 ${SSH2_VERSION} is not what tund knows: ${what}`);
}

/** Every algorithm that ssh2 can do, in ssh's spelling: it throws on any other name. */
export const supported = {
  ciphers: SUPPORTED_CIPHER,
  kex: SUPPORTED_KEX,
  /** of these, those that it offers by itself, in its order */
  kexByDefault: DEFAULT_KEX,
  macs: SUPPORTED_MAC,
  hostKeys: SUPPORTED_SERVER_HOST_KEY,
};

/** What a reason code of SSH_MSG_DISCONNECT is called (RFC 4253 section 11.1). */
export const nameOfReason = (code: number): string =>
  DISCONNECT_REASON_BY_VALUE[code] ?? `it disconnected for the unknown reason ${code}`;

/** Whether ssh2's compiled ciphers are in use; without them the CPU cost about doubles. */
export const nativeCrypto = (): boolean => bindingAvailable;

/** Sends a payload (RFC 4253 section 6); during a key exchange it waits. Nothing happens after the end. */
export function send(protocol: Protocol, payload: Buffer): void {
  const { write } = protocol._packetRW;
  const at = write.allocStart;
  const packet = write.alloc(payload.length);
  packet.set(payload, at);
  sendPacket(protocol, write.finalize(packet));
}

/** Handles a message as between two key exchanges. */
export const handle = (protocol: Protocol, payload: Buffer): void =>
  handlers[payload[0] ?? 0]?.(protocol, payload);

/** Ends the connection: the peer does what no peer may. It is told so, with SSH_DISCONNECT_PROTOCOL_ERROR. */
export const violated = (protocol: Protocol, why: string): void =>
  void doFatalError(protocol, why, "protocol");
