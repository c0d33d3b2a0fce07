// The time between TCP and an authenticated connection: one outcome, whatever number of errors ssh2 emits for it.
import type { Algorithms, Client } from "ssh2";
import { TundError } from "../../shared/errors.ts";
import type { Caller } from "./caller.ts";
import { connectionFailure, type Stage } from "./failure.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import type { HostVerifier } from "./host-verifier.ts";
import type { Identities } from "./identities.ts";
import { Login } from "./login.ts";
import type { Phases } from "./phases.ts";
import {
  HostCertificates,
  hostProof,
  type Offers,
  overhearNegotiation,
  UserAuthentication,
} from "./ssh2/internals.ts";
import type { Wire } from "./wire.ts";

export interface HandshakeParts {
  client: Client;
  socket: Wire;
  config: HostConfig;
  phases: Phases;
  verifier: HostVerifier;
  /** the algorithms of host certificates to ask for */
  certificates: readonly string[];
  identities: Identities;
  caller: Caller;
}

export class Handshake {
  readonly #parts: HandshakeParts;
  #login: Login | undefined;
  #phase: Stage["phase"] = "handshake";
  #first: unknown;
  #offers: () => Offers | undefined = () => undefined;

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
  }

  /** Goes through it. @throws TundError for whatever kept it from coming up */
  run(algorithms: Algorithms): Promise<void> {
    const { client, socket, phases } = this.#parts;
    return new Promise((ready, failed) => {
      const fail = (error?: unknown) => {
        phases.end();
        socket.destroy();
        failed(this.#explain(error ?? this.#first));
      };
      client.on("error", (error) => (this.#first ??= error));
      client.once("handshake", () => {
        this.#phase = "authentication";
        this.#begin(fail);
      });
      client.once("ready", () => {
        phases.end();
        this.#phase = "established";
        ready();
      });
      client.on("banner", (text) => this.#parts.caller.tell(text));
      // A server that is done with us may leave the socket half open: its FIN is the end of this attempt.
      socket.once("end", () => setImmediate(fail));
      socket.once("close", () => fail());
      this.#begin(fail);
      try {
        this.#start(algorithms, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  #start(algorithms: Algorithms, onFailure: (error: unknown) => void): void {
    const { client, socket, config, verifier, certificates, identities, caller } = this.#parts;
    let proof: ReturnType<typeof hostProof> | undefined;
    const login = new Login({ config, identities, caller, onFailure });
    this.#login = login;
    client.on("change password", (message) => login.passwordExpired(message));
    client.connect({
      sock: socket,
      username: config.user,
      algorithms,
      authHandler: login.handler,
      hostVerifier: (key: Buffer, answer: (isGood: boolean) => void) => {
        proof ??= hostProof(client);
        return verifier.verify(key, answer);
      },
      keepaliveInterval: 0, // ours counts received data as life; ssh2's does not
      readyTimeout: 0, // the phases have their own deadlines
      strictVendor: false, // or Unix sockets fail on servers that are not OpenSSH
      ident: "tund",
    });
    this.#offers = overhearNegotiation(client);
    const hostCertificates = new HostCertificates(client, certificates);
    verifier.onCertificate((certificate, key) => hostCertificates.use(certificate, key));
    const wire = new UserAuthentication(client, config.user, () => login.keyAccepted());
    client.once("handshake", () => {
      // It may hold keys for this host alone, and says nothing to who has not told it the host.
      if (proof !== undefined)
        identities.agent?.bind({ ...proof, sessionId: wire.sessionId }).catch(() => undefined);
    });
    login.speakOver(wire);
  }

  #begin(fail: (error: unknown) => void): void {
    const { phases, config } = this.#parts;
    const seconds = config.connectTimeoutMs / 1000;
    const late = () =>
      new TundError("CONNECT_TIMEOUT", `${whereOf(config)}: no end to ${this.#phase} within ${seconds} s`);
    phases.begin(() => fail(late()));
  }

  #explain(error: unknown): TundError {
    const { verifier, config } = this.#parts;
    if (verifier.failure !== undefined) return verifier.failure;
    const stage = { where: whereOf(config), phase: this.#phase, offers: this.#offers() };
    const failure = connectionFailure(error ?? new Error("closed by the server"), stage);
    const isOurs = failure.code !== "AUTH_FAILED" || error instanceof TundError;
    return isOurs || this.#login === undefined ? failure : this.#login.failure(failure.message);
  }
}
