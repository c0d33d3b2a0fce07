// The time between TCP and an authenticated connection: one outcome, whatever number of errors ssh2 emits for it.
import { clipped } from "../../shared/clipped.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Offered } from "./algorithms.ts";
import type { Caller } from "./caller.ts";
import { connectionFailure, type Stage } from "./failure.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import type { HostVerifier } from "./host-verifier.ts";
import type { Identities } from "./identities.ts";
import type { Kems } from "./kex/kems.ts";
import type { Login } from "./login.ts";
import { KEY_EXCHANGE_MS, type Phases, versionLimitMs } from "./phases.ts";
import { MOST_SAID } from "./said.ts";
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
  login: Login;
  caller: Caller;
}

export class Handshake {
  readonly #parts: HandshakeParts;
  #phase: Stage["phase"] = "handshake";

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
  }

  /** Goes through it. @throws TundError for whatever kept it from coming up */
  run(offered: Offered): Promise<void> {
    const { client, socket, config, phases } = this.#parts;
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
        phases.end(); // who takes their time now is the server, an agent, or a person
      });
      client.onReady(() => {
        phases.end();
        this.#phase = "established";
        this.#parts.login.succeeded();
        ready();
      });
      client.onBanner((text) => this.#parts.caller.tell(text));
      // A server that is done with us may leave the socket half open: its FIN is the end of this attempt.
      socket.once("end", () => setImmediate(fail));
      socket.once("close", () => fail());
      this.#begin(versionLimitMs(config, socket.tookMs), "no SSH version", fail);
      try {
        this.#start(offered, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  #start({ algorithms, kex, hostKeys }: Offered, fail: (error: unknown) => void): void {
    const { client, config, kems, verifier, identities, login } = this.#parts;
    let proof: SshClient["hostProof"] | undefined;
    verifier.onCertificate((certificate, key) => client.useCertified(certificate, key));
    client.connect({
      user: config.user,
      algorithms,
      kex: { methods: kex, kems, owner: config.identity },
      versionAddendum: config.link.versionAddendum,
      hostKeys,
      authHandler: login.handler,
      hostVerdict: (key, answer) => {
        proof ??= client.hostProof;
        return verifier.verify(key, answer);
      },
      onVersion: () => this.#begin(KEY_EXCHANGE_MS, "no end to key exchange", fail),
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
    login.speakOver(userAuth, fail);
  }

  #begin(ms: number, missing: string, fail: (error: unknown) => void): void {
    const { phases, config } = this.#parts;
    const seconds = Math.ceil(ms / 1000);
    const late = () => new TundError("CONNECT_TIMEOUT", `${whereOf(config)}: ${missing} within ${seconds} s`);
    phases.begin(ms, () => fail(late()));
  }

  #explain(error: unknown): TundError {
    const { verifier, config, client } = this.#parts;
    if (verifier.failure !== undefined) return verifier.failure;
    const stage = { where: whereOf(config), phase: this.#phase, offers: client.offers };
    const failure = connectionFailure(error ?? new Error("closed by the server"), stage);
    const isOurs = failure.code !== "AUTH_FAILED" || error instanceof TundError;
    return isOurs ? failure : this.#parts.login.failure(clipped(messageOf(error), MOST_SAID));
  }
}
