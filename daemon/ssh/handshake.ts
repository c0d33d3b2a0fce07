// The time between TCP and an authenticated connection: one outcome, whatever number of errors ssh2 emits for it.
import { TundError } from "../../shared/errors.ts";
import type { Offered } from "./algorithms.ts";
import type { Caller } from "./caller.ts";
import { connectionFailure, type Stage } from "./failure.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import type { HostVerifier } from "./host-verifier.ts";
import type { Identities } from "./identities.ts";
import type { Kems } from "./kex/kems.ts";
import { Login } from "./login.ts";
import type { Phases } from "./phases.ts";
import type { SshClient } from "./ssh2/client.ts";
import type { Wire } from "./wire.ts";

export interface HandshakeParts {
  client: SshClient;
  socket: Wire;
  config: HostConfig;
  kems: Kems;
  phases: Phases;
  verifier: HostVerifier;
  identities: Identities;
  caller: Caller;
}

export class Handshake {
  readonly #parts: HandshakeParts;
  #login: Login | undefined;
  #phase: Stage["phase"] = "handshake";

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
  }

  /** Goes through it. @throws TundError for whatever kept it from coming up */
  run(offered: Offered): Promise<void> {
    const { client, socket, phases } = this.#parts;
    return new Promise((ready, failed) => {
      const fail = (error?: unknown) => {
        phases.end();
        socket.destroy();
        failed(this.#explain(error));
      };
      client.onError(fail);
      client.onHandshake(() => {
        if (this.#phase !== "handshake") return;
        this.#phase = "authentication";
        this.#begin(fail);
      });
      client.onReady(() => {
        phases.end();
        this.#phase = "established";
        ready();
      });
      client.onBanner((text) => this.#parts.caller.tell(text));
      // A server that is done with us may leave the socket half open: its FIN is the end of this attempt.
      socket.once("end", () => setImmediate(fail));
      socket.once("close", () => fail());
      this.#begin(fail);
      try {
        this.#start(offered, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  #start({ algorithms, kex, hostKeys }: Offered, onFailure: (error: unknown) => void): void {
    const { client, config, kems, verifier, identities, caller } = this.#parts;
    let proof: SshClient["hostProof"] | undefined;
    const login = new Login({ config, identities, caller, onFailure });
    this.#login = login;
    verifier.onCertificate((certificate, key) => client.useCertified(certificate, key));
    client.connect({
      user: config.user,
      algorithms,
      kex: { methods: kex, kems, owner: config.identity },
      hostKeys,
      authHandler: login.handler,
      hostVerdict: (key, answer) => {
        proof ??= client.hostProof;
        return verifier.verify(key, answer);
      },
      onKeyAccepted: () => login.keyAccepted(),
      onPasswordExpired: (message) => login.passwordExpired(message),
    });
    const { userAuth } = client;
    if (userAuth === undefined) return;
    let isBound = false;
    client.onHandshake(() => {
      // It may hold keys for this host alone, and says nothing to who has not told it the host.
      if (proof === undefined || isBound) return;
      isBound = true;
      identities.agent?.bind({ ...proof, sessionId: userAuth.sessionId }).catch(() => undefined);
    });
    login.speakOver(userAuth);
  }

  #begin(fail: (error: unknown) => void): void {
    const { phases, config } = this.#parts;
    const seconds = config.connectTimeoutMs / 1000;
    const late = () =>
      new TundError("CONNECT_TIMEOUT", `${whereOf(config)}: no end to ${this.#phase} within ${seconds} s`);
    phases.begin(() => fail(late()));
  }

  #explain(error: unknown): TundError {
    const { verifier, config, client } = this.#parts;
    if (verifier.failure !== undefined) return verifier.failure;
    const stage = { where: whereOf(config), phase: this.#phase, offers: client.offers };
    const failure = connectionFailure(error ?? new Error("closed by the server"), stage);
    const isOurs = failure.code !== "AUTH_FAILED" || error instanceof TundError;
    return isOurs || this.#login === undefined ? failure : this.#login.failure(failure.message);
  }
}
