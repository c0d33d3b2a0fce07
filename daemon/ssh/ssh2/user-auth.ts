// User authentication where ssh2's own will not do (RFC 4252): it knows neither certificates nor security keys, tells partial
// success for keys of an agent to nobody, and signs at once or never. ssh2 is told to try `none`; what goes out instead is ours.
import { sshString } from "../../wire-format.ts";
import { signatureAlgorithms } from "./compat.ts";
import { type Protocol, send, violated } from "./internals.ts";

const USERAUTH_REQUEST = 50; // RFC 4252 section 6
const CONNECTION_SERVICE = "ssh-connection";
// Rounds of questions for one login: a server that asks on and on would never let it end.
const MOST_ROUNDS = 100;

export interface UserAuthOptions {
  user: string;
  serverVersion: () => string | null;
  /** the server would take the key that it was asked about (RFC 4252 section 7) */
  onKeyAccepted: () => void;
  /** the server wants another password than the one it was given (RFC 4252 section 8) */
  onPasswordExpired: (message: string) => void;
}

export class UserAuth {
  readonly #protocol: Protocol;
  readonly #options: UserAuthOptions;
  #request: Buffer | undefined;
  /** the key that the server was asked about, and has not answered for */
  #asked: Buffer | undefined;
  #serverAlgorithms: string[] | null = null;
  #rounds = 0;
  /** the server has asked something, and has no answer yet */
  #isAsking = false;

  /** To be made right behind connect(), before anything was read. */
  constructor(protocol: Protocol, options: UserAuthOptions) {
    this.#protocol = protocol;
    this.#options = options;
    const authNone = protocol.authNone.bind(protocol);
    protocol.authNone = (username) => {
      if (this.#request === undefined) authNone(username);
      else this.#send(this.#request);
    };
    const authInfoRes = protocol.authInfoRes.bind(protocol);
    protocol.authInfoRes = (answers) => {
      this.#isAsking = false;
      authInfoRes(answers);
    };
    this.#listen();
  }

  /** The signature algorithms that the server takes for a key (RFC 8308 section 3.1); null when it did not say. */
  algorithmsFor(key: Buffer): readonly string[] | null {
    return signatureAlgorithms(this.#options.serverVersion(), key, this.#serverAlgorithms);
  }

  /** The next `none` asks whether the server takes this key. */
  askAbout(algorithm: string, key: Buffer): void {
    this.#request = this.#payload(algorithm, key, false);
    this.#asked = key;
  }

  /** The next `none` is one. */
  askNothing(): void {
    this.#request = undefined;
    this.#asked = undefined;
    this.#isAsking = false;
  }

  /** What has to be signed to log in with a key. */
  toBeSigned(algorithm: string, key: Buffer): Buffer {
    return Buffer.concat([sshString(this.sessionId), this.#payload(algorithm, key, true)]);
  }

  /** Logs in with a key. */
  prove(algorithm: string, key: Buffer, signature: Buffer): void {
    this.#send(Buffer.concat([this.#payload(algorithm, key, true), sshString(signature)]));
  }

  /** Answers SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 section 8). */
  changePassword(old: string, fresh: string): void {
    this.#isAsking = false;
    this.#protocol.authPassword(this.#options.user, old, fresh);
  }

  /** What the first key exchange came to (RFC 4253 section 7.2). */
  get sessionId(): Buffer {
    return this.#protocol._kex.sessionID;
  }

  #listen(): void {
    const handlers = this.#protocol._handlers;
    const { EXT_INFO, USERAUTH_INFO_REQUEST } = handlers;
    handlers.EXT_INFO = (self, extensions) => {
      this.#serverAlgorithms ??= extensions.find(({ name }) => name === "server-sig-algs")?.algs ?? null;
      EXT_INFO(self, extensions);
    };
    // One that was not asked about would have an agent sign, and a person touch, for a key that nobody offered.
    handlers.USERAUTH_PK_OK = (_self, _algorithm, key) => {
      const asked = this.#asked;
      this.#asked = undefined;
      if (asked?.equals(key) === true) this.#options.onKeyAccepted();
      else violated(this.#protocol, "it accepted a key that it was not asked about");
    };
    handlers.USERAUTH_PASSWD_CHANGEREQ = (_self, message) => {
      if (this.#asks()) this.#options.onPasswordExpired(message);
    };
    handlers.USERAUTH_INFO_REQUEST = (self, ...request) => {
      if (this.#asks()) USERAUTH_INFO_REQUEST(self, ...request);
    };
  }

  /** Whether the server may ask now: one thing at a time, and not for ever. */
  #asks(): boolean {
    if (this.#isAsking) violated(this.#protocol, "it asked something else before it had an answer");
    else if (++this.#rounds > MOST_ROUNDS)
      violated(this.#protocol, `it asked more than ${MOST_ROUNDS} times`);
    else return (this.#isAsking = true);
    return false;
  }

  #payload(algorithm: string, key: Buffer, isSigned: boolean): Buffer {
    return Buffer.concat([
      Buffer.from([USERAUTH_REQUEST]),
      ...[this.#options.user, CONNECTION_SERVICE, "publickey"].map(sshString),
      Buffer.from([isSigned ? 1 : 0]),
      sshString(algorithm),
      sshString(key),
    ]);
  }

  #send(payload: Buffer): void {
    this.#protocol._authsQueue.push("publickey");
    send(this.#protocol, payload);
  }
}
