// OpenSSH's mux protocol, version 4 (PROTOCOL.mux, and mux.c where the two differ), as bytes. Pure: it never throws.
import { Reader, sshString, uint32 } from "../wire-format.ts";

/** What a master refuses to read, in bytes (channels.c, CHANNEL_MUX_MAX_PACKET). */
export const MAX_PACKET = 256 * 1024;
const VERSION = 4;
/** What stands for a port where the other field is a path (PORT_STREAMLOCAL, -2). */
export const STREAMLOCAL = 0xfffffffe;

const HELLO = 0x00000001;
const bareRequests: Partial<Record<number, BareRequest["type"]>> = {
  0x10000004: "alive-check",
  0x10000005: "terminate",
  0x10000009: "stop-listening",
  0x1000000f: "proxy",
};
const NEW_SESSION = 0x10000002;
const OPEN_FORWARD = 0x10000006;
const CLOSE_FORWARD = 0x10000007;
const NEW_STDIO_FORWARD = 0x10000008;
const EXT_INFO = 0x20000001;

const S_OK = 0x80000001;
const S_FAILURE = 0x80000003;
const S_ALIVE = 0x80000005;
const S_REMOTE_PORT = 0x80000007;
const S_EXT_INFO = 0x90000001;

/** A forward as a client sends it. An empty host is none; beside STREAMLOCAL it is a path. */
export interface WireForward {
  /** 1 local, 2 remote, 3 dynamic; others are for the master to refuse */
  kind: number;
  listen: string;
  listenPort: number;
  connect: string;
  connectPort: number;
}

interface BareRequest {
  type: "alive-check" | "terminate" | "stop-listening" | "proxy";
  id: number;
}

/** What a client asks, each with the id that its reply must bear. It is an echo, not a key: ids are used again. */
export type Request =
  | BareRequest
  | { type: "open-forward" | "close-forward"; id: number; forward: WireForward }
  | { type: "new-session" | "new-stdio-forward"; id: number }
  | { type: "info"; id: number; what: string }
  | { type: "unknown"; id: number; code: number };

export type Message = { type: "hello"; extensions: readonly string[] } | Request;

/** What stands at the beginning of what was received: not enough yet, a message and its length, or what no master bears. */
export type Decoded =
  | { kind: "partial" }
  | { kind: "message"; message: Message; length: number }
  | { kind: "broken"; why: string };

/**
 * Reads the first message. Descriptors that follow one (a byte of its own for each) belong to its length, so that they
 * are drained with it. Total: any bytes get an answer, and `partial` none longer than MAX_PACKET.
 */
export function decode(received: Buffer): Decoded {
  if (received.length < 4) return { kind: "partial" };
  const size = received.readUInt32BE();
  if (size > MAX_PACKET)
    return { kind: "broken", why: `a packet of ${size} bytes, and ${MAX_PACKET} are the limit` };
  if (received.length < 4 + size) return { kind: "partial" };
  try {
    const message = read(new Reader(received.subarray(4, 4 + size)));
    const length = 4 + size + descriptorsBehind(message);
    return received.length < length ? { kind: "partial" } : { kind: "message", message, length };
  } catch (error) {
    return { kind: "broken", why: error instanceof Malformed ? error.message : "a packet that is too short" };
  }
}

class Malformed extends Error {}

function read(reader: Reader): Message {
  const type = reader.uint32();
  if (type === HELLO) return hello(reader);
  const id = reader.uint32();
  const bare = bareRequests[type];
  if (bare !== undefined) return { type: bare, id };
  switch (type) {
    case OPEN_FORWARD:
      return { type: "open-forward", id, forward: forwardOf(reader) };
    case CLOSE_FORWARD:
      return { type: "close-forward", id, forward: forwardOf(reader) };
    case NEW_SESSION:
      return { type: "new-session", id };
    case NEW_STDIO_FORWARD:
      return { type: "new-stdio-forward", id };
    case EXT_INFO:
      return { type: "info", id, what: text(reader) };
    default:
      return { type: "unknown", id, code: type };
  }
}

function hello(reader: Reader): Message {
  const version = reader.uint32();
  if (version !== VERSION) throw new Malformed(`version ${version} of the protocol, and ${VERSION} is ours`);
  const extensions: string[] = [];
  while (reader.left > 0) {
    extensions.push(text(reader));
    reader.string(); // its value: none has one that matters
  }
  return { type: "hello", extensions };
}

function forwardOf(reader: Reader): WireForward {
  const kind = reader.uint32();
  const [listen, listenPort] = [text(reader), port(reader)];
  const [connect, connectPort] = [text(reader), port(reader)];
  return { kind, listen, listenPort, connect, connectPort };
}

function port(reader: Reader): number {
  const value = reader.uint32();
  if (value > 65_535 && value !== STREAMLOCAL) throw new Malformed(`the port ${value}`);
  return value;
}

// As sshbuf_get_cstring: a NUL inside is refused. What is no UTF-8 could not be told to anybody as it is.
function text(reader: Reader): string {
  const bytes = reader.string();
  const value = bytes.toString("utf8");
  if (bytes.includes(0) || !bytes.equals(Buffer.from(value))) throw new Malformed("a string that is no text");
  return value;
}

const descriptorsBehind = ({ type }: Message): number =>
  type === "new-session" ? 3 : type === "new-stdio-forward" ? 2 : 0;

const packet = (type: number, ...fields: readonly Buffer[]): Buffer =>
  sshString(Buffer.concat([uint32(type), ...fields]));

/** What a master says first. `info` tells a client of OpenSSH 10.3 or later that it may ask for it. */
export const helloOf = (extensions: readonly string[]): Buffer =>
  packet(HELLO, uint32(VERSION), ...extensions.flatMap((name) => [sshString(name), sshString("0")]));

export const ok = (id: number): Buffer => packet(S_OK, uint32(id));

export const failure = (id: number, reason: string): Buffer =>
  packet(S_FAILURE, uint32(id), sshString(reason));

export const alive = (id: number, pid: number): Buffer => packet(S_ALIVE, uint32(id), uint32(pid));

/** The answer to a remote forward on port 0. */
export const remotePort = (id: number, allocated: number): Buffer =>
  packet(S_REMOTE_PORT, uint32(id), uint32(allocated));

/** `isKnown`: whether there is such information. */
export const info = (id: number, isKnown: boolean, content: string): Buffer =>
  packet(S_EXT_INFO, uint32(id), uint32(isKnown ? 1 : 0), sshString(content));
