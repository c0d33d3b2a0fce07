// What a server may send, and how much of it: every message is looked at before ssh2 reads it. ssh2 takes any message in any
// state, answers whatever wants an answer, and keeps what the server does not fetch.
import type { Wire } from "../wire.ts";
import { Allowance } from "./allowance.ts";
import type { Feed } from "./feed.ts";
import { type PacketReader, type PrivateClient, type Protocol, violated } from "./internals.ts";

// Message numbers (RFC 4250 section 4.1.2).
const IGNORE = 2;
const UNIMPLEMENTED = 3;
const DEBUG = 4;
const EXT_INFO = 7;
const FIRST_OF_AUTHENTICATION = 50;
const USERAUTH_FAILURE = 51;
const USERAUTH_BANNER = 53;
const USERAUTH_INFO_REQUEST = 60;
const GLOBAL_REQUEST = 80;
const CHANNEL_OPEN_CONFIRMATION = 91;
const CHANNEL_CLOSE = 97;
const CHANNEL_REQUEST = 98;

/** Data in packets that are smaller would cost the peer nothing and us a packet for each few bytes; sshd offers 32 KiB. */
export const SMALLEST_PACKET_SIZE = 1024;
const RESOURCE_SHORTAGE = 4; // RFC 4254 section 5.1

const MOST_WINDOW = 2 ** 32 - 1; // RFC 4254 section 5.2
// OpenSSH's own packets are no larger (packet.c, PACKET_MAX_SIZE), compressed or not.
const MOST_INFLATED_BYTES = 256 * 1024;
const MOST_BANNER_BYTES = 64 * 1024; // OpenSSH cuts there (sshconnect2.c, input_userauth_banner)
const MOST_BANNERS = 64;
const MOST_PROMPTS = 64;

// What nobody needs to send often: requests, and messages that say nothing. A link that is over this is not read for a while.
const REQUESTS_AT_ONCE = 4096;
const REQUESTS_PER_SECOND = 1000;
// Answers may wait in the socket like anything else; a server that fetches none of so many will not fetch more.
const WAITING_BYTES = 1024 * 1024;
const MOST_WAITING_ANSWERS = 4096;

export interface InboundOptions {
  feed: Feed;
  socket: Wire;
  /** calls `run` after so many ms */
  after: (ms: number, run: () => void) => void;
  /** a global request that was read whole, by its name; true when ssh2 is not to see it */
  onGlobalRequest: (payload: Buffer) => boolean;
}

const ignored = Buffer.from([IGNORE]);

/** Has what comes looked at, from now on. To be called right behind connect(), before anything was read. */
export const limitInbound = (client: PrivateClient, options: InboundOptions): void =>
  new Inbound(client, options).begin();

class Inbound {
  readonly #client: PrivateClient;
  readonly #protocol: Protocol;
  readonly #options: InboundOptions;
  readonly #requests = new Allowance(REQUESTS_AT_ONCE, REQUESTS_PER_SECOND);
  #bannerBytes = 0;
  #banners = 0;
  #waitingAnswers = 0;

  constructor(client: PrivateClient, options: InboundOptions) {
    this.#client = client;
    this.#protocol = client._protocol;
    this.#options = options;
  }

  begin(): void {
    this.#watchReaders();
    this.#countAnswers();
    this.#checkChannels();
    this.#options.socket.on("drain", () => (this.#waitingAnswers = 0));
  }

  // Others are made by each key exchange, and at the end of authentication where there is compression.
  #watchReaders(): void {
    const packets = this.#protocol._packetRW;
    let current = this.#watched(packets.read);
    Object.defineProperty(packets, "read", {
      get: () => current,
      set: (reader: PacketReader) => {
        current = this.#watched(reader);
      },
    });
  }

  #watched(reader: PacketReader): PacketReader {
    if (reader._zlib !== undefined) reader._zlib._maxOutputLength = MOST_INFLATED_BYTES;
    const read = reader.read.bind(reader);
    reader.read = (payload) => this.#look(read(payload));
    return reader;
  }

  /** Gives what ssh2 is to read. */
  #look(payload: Buffer): Buffer {
    const type = payload[0] ?? IGNORE;
    if (type >= CHANNEL_OPEN_CONFIRMATION && type <= CHANNEL_CLOSE && this.#protocol._authenticated)
      return payload; // bulk data
    if (type >= FIRST_OF_AUTHENTICATION && type < GLOBAL_REQUEST)
      return this.#lookAtAuthentication(type, payload);
    if (type >= GLOBAL_REQUEST && !this.#protocol._authenticated)
      return this.#refuse(`message ${type} of the connection protocol before authentication`);
    if (type === GLOBAL_REQUEST && this.#options.onGlobalRequest(payload)) return this.#count(ignored);
    return [IGNORE, UNIMPLEMENTED, DEBUG, EXT_INFO, GLOBAL_REQUEST].includes(type) || type >= CHANNEL_REQUEST
      ? this.#count(payload)
      : payload;
  }

  #lookAtAuthentication(type: number, payload: Buffer): Buffer {
    const { _authenticated: isOver, _authsQueue: asked } = this.#protocol;
    // What is late after success says nothing any more (RFC 4252 section 5.1); ssh2 would begin anew.
    if (isOver) return this.#count(ignored);
    if (type === USERAUTH_FAILURE && asked.length === 0)
      return this.#refuse("the refusal of an authentication request that was not made");
    if (type === USERAUTH_BANNER) {
      this.#bannerBytes += payload.length;
      if (++this.#banners > MOST_BANNERS || this.#bannerBytes > MOST_BANNER_BYTES)
        return this.#refuse(`more than ${MOST_BANNERS} banners or ${MOST_BANNER_BYTES / 1024} KiB of them`);
    }
    if (
      type === USERAUTH_INFO_REQUEST &&
      asked[0] === "keyboard-interactive" &&
      countPrompts(payload) > MOST_PROMPTS
    )
      return this.#refuse(`more than ${MOST_PROMPTS} prompts at once (keyboard-interactive)`);
    return payload;
  }

  #count(payload: Buffer): Buffer {
    const wait = this.#requests.take();
    if (wait > 0) this.#options.after(Math.ceil(wait), this.#options.feed.hold());
    return payload;
  }

  #refuse(what: string): Buffer {
    violated(this.#protocol, `it sent ${what}`);
    return ignored;
  }

  #countAnswers(): void {
    const protocol = this.#protocol;
    const { socket } = this.#options;
    for (const name of ["requestSuccess", "requestFailure", "channelFailure", "channelOpenFail"] as const) {
      const answer = protocol[name].bind(protocol) as (...args: unknown[]) => void;
      protocol[name] = (...args: unknown[]) => {
        answer(...args);
        if (name === "channelOpenFail") this.#count(ignored);
        const waits = socket.writableLength > WAITING_BYTES || protocol._queue !== undefined;
        if (waits && ++this.#waitingAnswers > MOST_WAITING_ANSWERS)
          this.#refuse(`requests, and did not read ${MOST_WAITING_ANSWERS} answers to them`);
      };
    }
  }

  #checkChannels(): void {
    const protocol = this.#protocol;
    const handlers = protocol._handlers;
    const { CHANNEL_OPEN: onOpen, CHANNEL_WINDOW_ADJUST: onWindowAdjust } = handlers;
    handlers.CHANNEL_OPEN = (self, open) => {
      if (open.packetSize >= SMALLEST_PACKET_SIZE) return onOpen(self, open);
      const why = `its maximum packet size is ${open.packetSize}, and ${SMALLEST_PACKET_SIZE} is the least`;
      return protocol.channelOpenFail(open.sender, RESOURCE_SHORTAGE, why);
    };
    handlers.CHANNEL_WINDOW_ADJUST = (self, id, bytes) => {
      const channel = this.#client._chanMgr.get(id) as { outgoing?: { window: number } } | undefined;
      if ((channel?.outgoing?.window ?? 0) + bytes > MOST_WINDOW)
        this.#refuse("a window of more than 2^32-1 bytes");
      else onWindowAdjust(self, id, bytes);
    };
  }
}

/** How many prompts an SSH_MSG_USERAUTH_INFO_REQUEST says that it has (RFC 4256 section 3.2); 0 for what is none. */
function countPrompts(payload: Buffer): number {
  let at = 1;
  for (let field = 0; field < 3; field++) {
    if (at + 4 > payload.length) return 0;
    at += 4 + payload.readUInt32BE(at); // name, instruction, language
  }
  return at + 4 > payload.length ? 0 : payload.readUInt32BE(at);
}
