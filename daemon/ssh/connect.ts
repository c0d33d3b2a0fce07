// From a host's configuration to an authenticated connection. A new ssh2 Client for each attempt.
import { Client } from "ssh2";
import type { Clock, Timer } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import { offeredAlgorithms } from "./algorithms.ts";
import { Connection } from "./connection.ts";
import { dial } from "./dial.ts";
import { connectionFailure, type Stage } from "./failure.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import { HostVerifier } from "./host-verifier.ts";
import { gatherIdentities } from "./identities.ts";
import { knownKeyTypes, readKnownHosts } from "./known-hosts.ts";
import { Login } from "./login.ts";
import { startProxyCommand } from "./proxy-command.ts";
import type { Wire } from "./wire.ts";

export interface ConnectOptions {
  config: HostConfig;
  /** what it goes over, where another master leads to the host */
  wire?: Wire | undefined;
  clock: Clock;
  log: Log;
  /** ends the attempt, and the connection that it became */
  signal: AbortSignal;
}

/**
 * Dials, checks the host key and logs in; each of these phases within ConnectTimeout.
 * @throws TundError for whatever kept it from coming up
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { config, clock, log } = options;
  const [identities, known] = await Promise.all([
    gatherIdentities(config, clock),
    readKnownHosts(config.knownHostsFiles),
  ]);
  for (const problem of known.problems) log.warn({ problem }, "known hosts file not read");
  const verifier = new HostVerifier(config, known.hosts, log);
  const login = new Login(config.user, identities);
  const algorithms = offeredAlgorithms(config, knownKeyTypes(known.hosts, config));
  const socket = await reach(options);
  const client = new Client();
  const connection = new Connection({ client, socket, config, clock });
  await new Handshake({ client, socket, config, clock, verifier, login }).run(() =>
    client.connect({
      sock: socket,
      username: config.user,
      algorithms,
      authHandler: login.handler,
      hostVerifier: (key: Buffer) => verifier.verify(key),
      keepaliveInterval: 0, // ours counts received data as life; ssh2's does not
      readyTimeout: 0, // the phases have their own deadlines
      strictVendor: false, // or Unix sockets fail on servers that are not OpenSSH
      ident: "tund",
    }),
  );
  connection.established();
  return connection;
}

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
  clock: Clock;
  verifier: HostVerifier;
  login: Login;
}

/** The time between TCP and `ready`: one outcome, whatever number of errors ssh2 emits for it. */
class Handshake {
  readonly #parts: HandshakeParts;
  #phase: Stage["phase"] = "handshake";
  #timer: Timer | undefined;
  #first: unknown;

  constructor(parts: HandshakeParts) {
    this.#parts = parts;
  }

  run(start: () => void): Promise<void> {
    const { client, socket } = this.#parts;
    return new Promise((ready, failed) => {
      const fail = (error?: unknown) => {
        this.#timer?.cancel();
        socket.destroy();
        failed(this.#explain(error ?? this.#first));
      };
      // An agent's error is not the end: ssh2 goes on with the next method.
      client.on("error", (error) => {
        if ((error as { level?: string }).level !== "agent") this.#first ??= error;
      });
      client.once("handshake", () => {
        this.#phase = "authentication";
        this.#arm(fail);
      });
      client.once("ready", () => {
        this.#timer?.cancel();
        this.#phase = "established";
        ready();
      });
      // A server that is done with us may leave the socket half open: its FIN is the end of this attempt.
      socket.once("end", () => setImmediate(fail));
      socket.once("close", () => fail());
      this.#arm(fail);
      try {
        start();
      } catch (error) {
        fail(error);
      }
    });
  }

  #arm(fail: (error: unknown) => void): void {
    const { clock, config } = this.#parts;
    const ms = config.connectTimeoutMs;
    this.#timer?.cancel();
    this.#timer = clock.after(ms, () =>
      fail(
        new TundError(
          "CONNECT_TIMEOUT",
          `${whereOf(config)}: no end to ${this.#phase} within ${ms / 1000} s`,
        ),
      ),
    );
  }

  #explain(error: unknown): TundError {
    const { verifier, login, config } = this.#parts;
    const stage = { where: whereOf(config), phase: this.#phase };
    if (verifier.failure !== undefined) return verifier.failure;
    const failure = connectionFailure(error ?? new Error("closed by the server"), stage);
    return failure.code === "AUTH_FAILED" ? login.failure(stage.where, failure.message) : failure;
  }
}
