// From a host's configuration to an authenticated connection. A new ssh2 Client for each attempt.
import { type Algorithms, Client } from "ssh2";
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { certificateAlgorithms, offeredAlgorithms } from "./algorithms.ts";
import { type Caller, nobody } from "./caller.ts";
import { Connection } from "./connection.ts";
import { dial } from "./dial.ts";
import { connectionFailure, type Stage } from "./failure.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import { HostVerifier } from "./host-verifier.ts";
import { gatherIdentities, type Identities } from "./identities.ts";
import { authorities, knownKeyTypes, readKnownHosts } from "./known-hosts.ts";
import { Login } from "./login.ts";
import { Phases } from "./phases.ts";
import {
  HostCertificates,
  hostProof,
  type Offers,
  overhearNegotiation,
  UserAuthentication,
} from "./ssh2-private.ts";
import { startProxyCommand } from "./proxy-command.ts";
import type { Wire } from "./wire.ts";

export interface ConnectOptions {
  config: HostConfig;
  /** whoever waits for it, and may be asked */
  caller: Caller;
  /** what it goes over, where another master leads to the host */
  wire?: Wire | undefined;
  clock: Clock;
  log: Log;
  /** ends the attempt, and the connection that it became */
  signal: AbortSignal;
}

/**
 * Dials, checks the host key and logs in; each of these phases within ConnectTimeout, while nobody is asked anything.
 * @throws TundError for whatever kept it from coming up
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { config, clock, log } = options;
  const phases = new Phases(clock, config.connectTimeoutMs);
  const caller = phases.patient(config.isBatch ? nobody : options.caller);
  const [identities, known] = await Promise.all([
    gatherIdentities({ config, caller: config.isBatch ? withAgents(caller, options.caller) : caller, clock }),
    readKnownHosts(config.knownHostsFiles),
  ]);
  try {
    for (const problem of known.problems) log.warn({ problem }, "known hosts file not read");
    const verifier = new HostVerifier({ config, known: known.hosts, caller, log, now: () => clock.now() });
    const algorithms = offeredAlgorithms(config, knownKeyTypes(known.hosts, config));
    const socket = await reach(options);
    const client = new Client();
    const connection = new Connection({ client, socket, config, clock });
    const { hostname: host, port, hostKeyAlias } = config;
    const isCertified = authorities(known.hosts, { host, port, hostKeyAlias }).length > 0;
    const certificates = isCertified ? certificateAlgorithms(config) : [];
    const parts = { client, socket, config, phases, verifier, certificates, identities, caller };
    const handshake = new Handshake(parts);
    await handshake.run(algorithms);
    connection.established();
    return connection;
  } finally {
    phases.end();
    identities.agent?.close();
  }
}

// Under BatchMode a caller is not asked, and their agent serves all the same.
const withAgents = (caller: Caller, { agents }: Caller): Caller => ({ ...caller, agents });

async function reach({ config, wire, clock, signal }: ConnectOptions): Promise<Wire> {
  const { way, host } = config;
  if (way.kind === "command") return startProxyCommand({ ...way, host, clock, signal });
  if (wire === undefined) return dial(config, clock, signal);
  const abort = () => wire.destroy();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  return wire;
}

interface HandshakeParts {
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

/** The time between TCP and `ready`: one outcome, whatever number of errors ssh2 emits for it. */
class Handshake {
  readonly #parts: HandshakeParts;
  #login: Login | undefined;
  #phase: Stage["phase"] = "handshake";
  #first: unknown;
  #offers: () => Offers | undefined = () => undefined;

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
  }

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
