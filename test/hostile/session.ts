// One connection of a hostile server: it plays a server that is as it should be, up to where it is told to be another.
import { Reader, sshString, uint32 } from "../../daemon/wire-format.ts";
import type { Facts } from "./messages.ts";
import { message, MSG, type Peer } from "./peer.ts";

/** Where a session stands when it is asked whether to go on. */
export type Stage =
  | "kexinit"
  | "reply"
  | "newkeys"
  | "service"
  | "none"
  | "publickey"
  | "keyboard-interactive"
  | "password"
  | "answers"
  | "ready";

export const STAGES: readonly Stage[] = [
  ...(["kexinit", "reply", "newkeys", "service", "none", "publickey"] as const),
  ...(["keyboard-interactive", "password", "answers", "ready"] as const),
];

/** What lets the client in. */
export type Accepted = "none" | "publickey" | "keyboard-interactive" | "password";

export interface Play {
  accepts: Accepted;
  /** Called before each step that the server takes; true: it is not taken. */
  before?: (stage: Stage, session: Session) => boolean;
  /** Called with each message after the login; true: it is not answered. */
  onMessage?: (payload: Buffer, session: Session) => boolean;
}

const { USERAUTH_SUCCESS, GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE } = MSG;
const METHODS = "publickey,keyboard-interactive,password";
const WINDOW = 1 << 21;
const MAX_PACKET = 32_768;

export class Session {
  readonly peer: Peer;
  readonly facts: Facts;
  readonly #play: Play;
  /** whether the client was let in */
  isReady = false;

  constructor(peer: Peer, play: Play) {
    this.peer = peer;
    this.#play = play;
    this.facts = { peer, channels: [], listeners: [] };
    peer.beforeStep = (step) => this.#stops(step);
    peer.onPayload = (payload) => this.#answer(payload);
  }

  #stops(stage: Stage): boolean {
    return this.#play.before?.(stage, this) ?? false;
  }

  #answer(payload: Buffer): void {
    try {
      if (this.isReady) this.#answerChannels(payload);
      else this.#answerLogin(payload);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // what the client sent is too short: it has been confused
    }
  }

  #answerLogin(payload: Buffer): void {
    const reader = new Reader(payload.subarray(1));
    switch (payload[0]) {
      case MSG.SERVICE_REQUEST:
        if (!this.#stops("service")) this.peer.send(message(MSG.SERVICE_ACCEPT, reader.string()));
        break;
      case MSG.USERAUTH_REQUEST:
        reader.string();
        reader.string();
        this.#judge(reader.text(), reader);
        break;
      case 61:
        if (!this.#stops("answers")) this.#letIn();
        break;
      case undefined:
      default:
    }
  }

  #judge(method: string, reader: Reader): void {
    const isStage = STAGES.includes(method as Stage);
    if (isStage && this.#stops(method as Stage)) return;
    if (method !== this.#play.accepts) {
      this.peer.send(Buffer.concat([message(51, METHODS), Buffer.alloc(1)]));
    } else if (method === "keyboard-interactive") {
      this.peer.send(Buffer.concat([message(60, "", "", "", 1), sshString("Password: "), Buffer.alloc(1)]));
    } else if (method === "publickey" && reader.byte() === 0) {
      this.peer.send(message(60, reader.string(), reader.string()));
    } else this.#letIn();
  }

  #letIn(): void {
    if (this.#stops("ready")) return;
    this.peer.send(Buffer.from([USERAUTH_SUCCESS]));
    this.isReady = true;
  }

  #answerChannels(payload: Buffer): void {
    const { channels } = this.facts;
    this.#note(payload);
    if (this.#play.onMessage?.(payload, this) === true) return;
    const reader = new Reader(payload.subarray(1));
    switch (payload[0]) {
      case GLOBAL_REQUEST:
        this.#answerGlobal(reader);
        break;
      case MSG.CHANNEL_OPEN: {
        reader.string();
        const id = reader.uint32();
        this.peer.send(message(MSG.CHANNEL_OPEN_CONFIRMATION, id, id, WINDOW, MAX_PACKET));
        break;
      }
      case MSG.CHANNEL_DATA: {
        const id = reader.uint32();
        const data = reader.string();
        this.peer.send(message(MSG.CHANNEL_DATA, id, data));
        this.peer.send(message(MSG.CHANNEL_WINDOW_ADJUST, id, data.length));
        break;
      }
      case MSG.CHANNEL_EOF: {
        const id = reader.uint32();
        this.peer.send(message(MSG.CHANNEL_EOF, id));
        this.peer.send(message(MSG.CHANNEL_CLOSE, id));
        break;
      }
      case MSG.CHANNEL_CLOSE: {
        const id = reader.uint32();
        if (channels.includes(id)) channels.splice(channels.indexOf(id), 1);
        this.peer.send(message(MSG.CHANNEL_CLOSE, id));
        break;
      }
      case undefined:
      default:
    }
  }

  // What the client has told, whether it is answered or not.
  #note(payload: Buffer): void {
    const reader = new Reader(payload.subarray(1));
    if (payload[0] === MSG.CHANNEL_OPEN) {
      reader.string();
      this.facts.channels.push(reader.uint32());
    }
    if (payload[0] === MSG.CHANNEL_OPEN_CONFIRMATION) {
      reader.uint32();
      this.facts.channels.push(reader.uint32());
    }
  }

  #answerGlobal(reader: Reader): void {
    const name = reader.text();
    const wantsReply = reader.byte() !== 0;
    if (name === "tcpip-forward") {
      const address = reader.text();
      const port = reader.uint32() || 40_000 + this.facts.listeners.length;
      this.facts.listeners.push({ address, port });
      if (wantsReply) this.peer.send(Buffer.concat([Buffer.from([REQUEST_SUCCESS]), uint32(port)]));
    } else if (wantsReply) this.peer.send(Buffer.from([REQUEST_FAILURE]));
  }
}

/** Has a peer play a server; its client begins. */
export const playOn = (peer: Peer, play: Play): Session => new Session(peer, play);
