// What a server may send, and how much of it: every message is looked at before ssh2 reads it. ssh2 takes any message in any
// state, answers whatever wants an answer, and keeps what the server does not fetch.
import { Reader } from "../../wire-format.ts";
import type { Wire } from "../wire.ts";
import { Allowance } from "./allowance.ts";
import type { Feed } from "./feed.ts";
import type { GlobalRequests } from "./global-requests.ts";
import { handle, type PacketReader, type PrivateClient, type Protocol, violated } from "./internals.ts";
import { countPrompts, withoutMeaning } from "./payloads.ts";

// Message numbers (RFC 4250 section 4.1.2).
const DISCONNECT = 1;
const IGNORE = 2;
const UNIMPLEMENTED = 3;
const DEBUG = 4;
const SERVICE_ACCEPT = 6;
const EXT_INFO = 7;
const KEXINIT = 20;
const NEWKEYS = 21;
const FIRST_OF_AUTHENTICATION = 50;
const USERAUTH_FAILURE = 51;
const USERAUTH_BANNER = 53;
const USERAUTH_INFO_REQUEST = 60;
const GLOBAL_REQUEST = 80;
const REQUEST_SUCCESS = 81;
const REQUEST_FAILURE = 82;
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
  /** the server has said goodbye (RFC 4253 section 11.1): its reason code, and its words */
  onDisconnect: (reason: number, text: string) => void;
  /** whose the replies to our global requests are */
  requests: Pick<GlobalRequests, "replied" | "unimplemented">;
  /** gives what ssh2 is to read of a KEXINIT */
  onKexInit: (payload: Buffer) => Buffer;
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
  /** the server has sent its KEXINIT, and not its NEWKEYS */
  #isExchangingKeys = false;
  /** until the server's first NEWKEYS */
  #isFirstExchange = true;
  /** the server has accepted the service that we asked for */
  #isServed = false;
  #see = (payload: Buffer): Buffer => this.#look(payload);
  /** ssh2 is to read this message as if key exchange were not strict */
  #isTolerated = false;

  constructor(client: PrivateClient, options: InboundOptions) {
    this.#client = client;
    this.#protocol = client._protocol;
    this.#options = options;
  }

  begin(): void {
    this.#watchReaders();
    this.#countAnswers();
    this.#checkChannels();
    this.#tolerate();
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
    reader.read = (payload) => this.#see(read(payload));
    return reader;
  }

  /** Gives what ssh2 is to read. */
  #look(payload: Buffer): Buffer {
    const type = payload[0] ?? IGNORE;
    if (type >= CHANNEL_OPEN_CONFIRMATION && type <= CHANNEL_CLOSE && this.#protocol._authenticated)
      return payload; // bulk data
    this.#followExchange(type);
    if (type < FIRST_OF_AUTHENTICATION) return this.#lookAtTransport(type, payload);
    return type < GLOBAL_REQUEST
      ? this.#lookAtAuthentication(type, payload)
      : this.#lookAtConnection(type, payload);
  }

  #lookAtTransport(type: number, payload: Buffer): Buffer {
    switch (type) {
      case KEXINIT:
        return this.#options.onKexInit(payload);
      case DISCONNECT:
        return this.#disconnected(payload);
      case UNIMPLEMENTED:
        if (payload.length >= 5) this.#options.requests.unimplemented(payload.readUInt32BE(1));
        return this.#count(payload);
      case IGNORE:
      case DEBUG:
      case EXT_INFO:
        return this.#count(payload);
      case SERVICE_ACCEPT: {
        // ssh2 would begin to log in anew.
        const isAgain = this.#isServed;
        this.#isServed = true;
        return isAgain ? this.#count(ignored) : payload;
      }
      default:
        return payload;
    }
  }

  #lookAtConnection(type: number, payload: Buffer): Buffer {
    const { requests, onGlobalRequest } = this.#options;
    if (!this.#protocol._authenticated)
      return this.#refuse(`message ${type} of the connection protocol before authentication`);
    switch (type) {
      case GLOBAL_REQUEST:
        return this.#count(onGlobalRequest(payload) ? ignored : payload);
      case REQUEST_SUCCESS:
      case REQUEST_FAILURE:
        return requests.replied(type === REQUEST_SUCCESS, payload.subarray(1))
          ? ignored
          : this.#count(ignored);
      case CHANNEL_REQUEST:
        return this.#count(withoutMeaning(payload));
      default:
        return type > CHANNEL_REQUEST ? this.#count(payload) : payload;
    }
  }

  #followExchange(type: number): void {
    if (type === KEXINIT) {
      this.#isExchangingKeys = true;
      if (!this.#isFirstExchange) this.#see = (payload) => this.#lookAmidExchange(payload);
    } else if (type === NEWKEYS) {
      this.#isExchangingKeys = this.#isFirstExchange = false;
      this.#see = (payload) => this.#look(payload);
    }
  }

  // What is not of the exchange is forbidden in the first one alone (OpenSSH PROTOCOL section 1.10), and asyncssh sends data in
  // the middle of others; ssh2 would end the connection.
  #lookAmidExchange(payload: Buffer): Buffer {
    const looked = this.#look(payload);
    const type = looked[0] ?? IGNORE;
    if (type === DISCONNECT || (type >= KEXINIT && type < FIRST_OF_AUTHENTICATION)) return looked;
    this.#protocol._onPacket();
    handle(this.#protocol, looked);
    this.#isTolerated = true;
    return ignored;
  }

  // ssh2 asks once, right behind reading a message between KEXINIT and NEWKEYS, and otherwise where sequence numbers begin anew.
  #tolerate(): void {
    let isStrict = this.#protocol._strictMode;
    Object.defineProperty(this.#protocol, "_strictMode", {
      get: () => {
        if (!this.#isTolerated) return isStrict;
        this.#isTolerated = false;
        return false;
      },
      set: (value: boolean | undefined) => {
        isStrict = value;
      },
    });
  }

  // ssh2 drops the words of a server that has no language tag behind them, and of one that goes in order (BY_APPLICATION).
  #disconnected(payload: Buffer): Buffer {
    const fields = new Reader(payload.subarray(1));
    try {
      this.#options.onDisconnect(fields.uint32(), fields.text());
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return payload; // which ssh2 refuses
    }
    this.#isTolerated = this.#isExchangingKeys;
    return ignored;
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
