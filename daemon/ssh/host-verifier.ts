// The verdict on a server's host key, for one connection attempt: strict, and given at once unless a person has to be asked.
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Caller } from "./caller.ts";
import type { Children } from "./children.ts";
import { type HostConfig, hostNameOf } from "./host-config.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { faultOf } from "./host-certificate.ts";
import { displayType, fingerprint } from "./host-key.ts";
import { askKnownHostsCommand } from "./known-hosts-command.ts";
import type { HostKeyFiles } from "./host-key-files.ts";
import { appendKnownHost } from "./known-hosts-record.ts";
import { type HostName, type KnownHost, lookupName, recordName, verdict } from "./known-hosts.ts";

export interface HostVerifierOptions {
  config: HostConfig;
  known: readonly KnownHost[];
  files: HostKeyFiles;
  caller: Caller;
  log: Log;
  children: Children;
  clock: Clock;
  /** the attempt is over: what was started for a verdict is ended */
  signal: AbortSignal;
  /** whether the server was reached at a loopback address */
  isLoopback: boolean;
}

type Verdicts = TundError | undefined | Promise<TundError | undefined>;

export class HostVerifier {
  readonly #config: HostConfig;
  #known: readonly KnownHost[];
  readonly #files: HostKeyFiles;
  readonly #caller: Caller;
  readonly #log: Log;
  readonly #running: Pick<HostVerifierOptions, "children" | "clock" | "signal">;
  /** NoHostAuthenticationForLocalhost: whatever key it is */
  readonly #isTrusted: boolean;
  /** has ssh2 take the key that is certified for the server's */
  #onCertificate: (certificate: Buffer, key: Buffer) => void = () => undefined;
  #accepted: Buffer | undefined;
  #knownBy: { file: string } | undefined;
  #failure: TundError | undefined;

  constructor(options: HostVerifierOptions) {
    const { config, known, files, caller, log, isLoopback, children, clock, signal } = options;
    this.#isTrusted = config.isLocalhostTrusted && isLoopback;
    this.#running = { children, clock, signal };
    this.#config = config;
    this.#known = known;
    this.#files = files;
    this.#caller = caller;
    this.#log = log;
  }

  /** Why the key was refused, once it was. */
  get failure(): TundError | undefined {
    return this.#failure;
  }

  /**
   * Answers ssh2: strictly boolean, since it takes anything but `false` for a yes. The same key again (a rekey) is not
   * judged anew, and answered at once: an answer that comes later kills a busy connection. Only the first time, before
   * there is anything to carry, it may be `undefined`, and `answer` is called later.
   */
  verify(key: Buffer, answer: (isGood: boolean) => void): boolean | undefined {
    const certificate = parseCertificate(key);
    if (this.#accepted !== undefined) return this.#accepted.equals(key) && this.#accept(key, certificate);
    if (this.#isTrusted) return this.#accept(key, certificate);
    const blob = Buffer.from(key);
    const { revokedHostKeys, knownHostsCommand } = this.#config;
    const takesTime = revokedHostKeys !== null || knownHostsCommand !== null;
    const failure = takesTime ? this.#judgeWithMore(blob, certificate) : this.#judgeAny(blob, certificate);
    if (!(failure instanceof Promise)) return this.#decide(key, certificate, failure);
    failure.then(
      (why) => answer(this.#decide(key, certificate, why)),
      (error: unknown) => answer(this.#decide(key, certificate, asRefusal(error))),
    );
    return undefined;
  }

  /** To be called when the client has been told to connect. */
  onCertificate(use: (certificate: Buffer, key: Buffer) => void): void {
    this.#onCertificate = use;
  }

  /** The line that the key is known by; undefined when it was vouched for otherwise. */
  get knownBy(): { file: string } | undefined {
    return this.#knownBy;
  }

  get #name(): HostName {
    return hostNameOf(this.#config);
  }

  #decide(key: Buffer, certificate: Certificate | null, failure: TundError | undefined): boolean {
    if (failure === undefined) return this.#accept(key, certificate);
    this.#failure = failure;
    return false;
  }

  #accept(key: Buffer, certificate: Certificate | null): true {
    this.#accepted = Buffer.from(key);
    if (certificate !== null) this.#onCertificate(key, certificate.key);
    return true;
  }

  // What takes time is asked before there is anything to carry.
  async #judgeWithMore(key: Buffer, certificate: Certificate | null): Promise<TundError | undefined> {
    const { revokedHostKeys: list, knownHostsCommand: command, hostKeyTokens: tokens } = this.#config;
    const plain = certificate?.key ?? key;
    const name = recordName(this.#name);
    if (list !== null && (await this.#files.isRevokedBy(list, key, this.#running.signal)))
      return new TundError("HOST_KEY_REVOKED", `the ${shownKey(plain)} of ${name} is revoked by ${list}`);
    if (command !== null) {
      const purpose = { kind: "HOSTNAME" as const, key: plain };
      const running = { ...this.#running, files: this.#files };
      const more = await askKnownHostsCommand({ command, tokens, name, host: this.#name }, purpose, running);
      this.#known = [...this.#known, ...more];
    }
    return this.#judgeAny(key, certificate);
  }

  // A certificate that is no good counts for nothing, and its key for what it is (sshconnect.c, check_host_key).
  #judgeAny(key: Buffer, certificate: Certificate | null): Verdicts {
    if (certificate === null) return this.#judge(key, null);
    const name = this.#name;
    const { caAlgorithms: algorithms } = this.#config;
    const revoked = verdict(this.#known, { ...name, key: certificate.key });
    const now = this.#running.clock.now();
    const fault = faultOf(certificate, { known: this.#known, name, algorithms, now });
    if (fault === null && revoked.kind !== "revoked") return undefined; // and the keys of the host stay as they are
    if (fault !== null) this.#log.warn({ fault }, "the host's certificate does not count");
    return this.#judge(certificate.key, fault);
  }

  #judge(key: Buffer, fault: string | null): Verdicts {
    const { hostname, port, hostKeyAlias, strictHostKeyChecking } = this.#config;
    const found = verdict(this.#known, { host: hostname, port, hostKeyAlias, key });
    const name = hostKeyAlias ?? lookupName(hostname, port);
    const shown = shownKey(key);
    const but = fault === null ? "" : ` (${fault})`;
    const details = { host: name, fingerprint: fingerprint(key), type: displayType(key) };
    switch (found.kind) {
      case "known":
        this.#knownBy = found;
        return undefined;
      case "revoked":
        return new TundError(
          "HOST_KEY_REVOKED",
          `the ${shown} of ${name} is revoked by ${found.file}:${found.line}`,
          {
            details,
          },
        );
      case "changed":
        return new TundError(
          "HOST_KEY_CHANGED",
          `the host key of ${name} has changed: it offers the ${shown}, and ${found.file}:${found.line} has another${but}. ` +
            `Somebody may be listening; if the host was set up anew, remove the old key: ssh-keygen -R '${name}'`,
          { details },
        );
      case "unknown":
        if (strictHostKeyChecking === "accept-new" || strictHostKeyChecking === "no")
          return void this.#record(name, key);
        return strictHostKeyChecking === "ask" && this.#caller.isPresent
          ? this.#ask(name, key)
          : new TundError(
              "HOST_KEY_UNKNOWN",
              `the host key of ${name} is not known: ${shown}${but}. If that is right, record it with ` +
                `'tunctl trust ${this.#config.host}', or connect with -o StrictHostKeyChecking=accept-new`,
              { details },
            );
    }
  }

  // As ssh asks (sshconnect.c, check_host_key).
  async #ask(name: string, key: Buffer): Promise<TundError | undefined> {
    const shown = fingerprint(key);
    let text = "Are you sure you want to continue connecting (yes/no/[fingerprint])? ";
    let instructions: string | null =
      `The authenticity of host '${name}' can't be established.\n` +
      `${displayType(key)} key fingerprint is ${shown}.`;
    for (;;) {
      const reply = await this.#caller.ask({ kind: "host-key", instructions, text, echo: true, memo: null });
      const said = reply.trim();
      if (said.toLowerCase() === "yes" || said === shown) break;
      if (said === "" || said.toLowerCase() === "no")
        return new TundError("HOST_KEY_UNKNOWN", `the host key of ${name} was not accepted: ${shown}`);
      instructions = null;
      text = "Please type 'yes', 'no' or the fingerprint: ";
    }
    await this.#record(name, key);
    return undefined;
  }

  // A full disk is no reason to refuse a host that may be accepted.
  async #record(name: string, key: Buffer): Promise<void> {
    const file = this.#config.userKnownHostsFile;
    const type = displayType(key);
    if (file === null) return;
    try {
      await appendKnownHost(file, { name, key: Buffer.from(key), hash: this.#config.hashKnownHosts });
      this.#log.info({ file, fingerprint: fingerprint(key) }, `recorded the ${type} host key of ${name}`);
      this.#caller.tell(`Warning: Permanently added '${name}' (${type}) to the list of known hosts.`);
    } catch (error) {
      this.#log.warn({ file, error: messageOf(error) }, `cannot record the host key of ${name}`);
      this.#caller.tell(`Failed to add the host to the list of known hosts (${file}): ${messageOf(error)}`);
    }
  }
}

const shownKey = (key: Buffer): string => `${displayType(key)} key ${fingerprint(key)}`;

const asRefusal = (error: unknown): TundError =>
  error instanceof TundError ? error : new TundError("HOST_KEY_UNKNOWN", messageOf(error), { cause: error });
