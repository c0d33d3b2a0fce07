// The verdict on a server's host key, for one connection attempt: strict, and as ssh's (sshconnect.c, verify_host_key).
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { Children } from "./children.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { judgeAddress } from "./check-host-ip.ts";
import { type HostConfig, hostNameOf } from "./host-config.ts";
import { faultOf } from "./host-certificate.ts";
import { displayType, fingerprint, shownKey } from "./host-key.ts";
import type { HostKeyFiles } from "./host-key-files.ts";
import { askKnownHostsCommand } from "./known-hosts-command.ts";
import { isRecordable } from "./known-hosts-record.ts";
import { asItIs, type KnownHost, recordName } from "./known-hosts.ts";
import {
  authorities,
  type Place,
  plainAlgorithm,
  revocation,
  shownPlace,
  verdict,
} from "./known-hosts-verdict.ts";
import type { NewHostKeys } from "./new-host-keys.ts";
import { damageOf } from "./public-key.ts";

export interface HostVerifierOptions {
  config: HostConfig;
  /** lines for the host, and what memory has */
  known: readonly KnownHost[];
  /** finds what there is for the address that was dialled; null where CheckHostIP does not have it judged */
  ofAddress: () => Promise<AddressToCheck | null>;
  files: HostKeyFiles;
  /** what becomes of a key that is not known */
  fresh: NewHostKeys;
  log: Log;
  children: Children;
  clock: Clock;
  /** the attempt is over: what was started for a verdict is ended */
  signal: AbortSignal;
  /** whether the address that was dialled is a loopback address */
  isLoopback: boolean;
}

/** An address, as known hosts have it, and the lines that are for it. */
export interface AddressToCheck {
  name: string;
  known: readonly KnownHost[];
}

export class HostVerifier {
  readonly #options: HostVerifierOptions;
  /** has ssh2 take the key that is certified for the server's */
  #onCertificate: (certificate: Buffer, key: Buffer) => void = () => undefined;
  #accepted: Buffer | undefined;
  #knownBy: Place | undefined;
  #knownKey: Buffer | undefined;
  #failure: TundError | undefined;
  readonly #warnings: string[] = [];

  constructor(options: HostVerifierOptions) {
    this.#options = options;
  }

  /** What a person should know of a key that was taken. */
  get warnings(): readonly string[] {
    return [...this.#warnings, ...this.#options.fresh.warnings];
  }

  /** Why the key was refused, once it was. */
  get failure(): TundError | undefined {
    return this.#failure;
  }

  /** The line that the key is known by; undefined when it was vouched for otherwise. */
  get knownBy(): Place | undefined {
    return this.#knownBy;
  }

  /** The key that was known, by which the server was authenticated. */
  get knownKey(): Buffer | undefined {
    return this.#knownKey;
  }

  /**
   * Answers ssh2. The same key again (a rekey) is not judged anew, and answered at once: an answer that comes later kills
   * a busy connection. Only the first time, before there is anything to carry, it is `undefined`, and `answer` is called
   * later.
   */
  verify(key: Buffer, answer: (isGood: boolean) => void): boolean | undefined {
    const certificate = parseCertificate(key);
    if (this.#accepted !== undefined) return this.#accepted.equals(key) && this.#accept(key, certificate);
    this.#judge(Buffer.from(key)).then(
      (why) => answer(this.#decide(key, certificate, why)),
      (error: unknown) => answer(this.#decide(key, certificate, asRefusal(error))),
    );
    return undefined;
  }

  /** To be called when the client has been told to connect. */
  onCertificate(use: (certificate: Buffer, key: Buffer) => void): void {
    this.#onCertificate = use;
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

  get #name(): string {
    return recordName(hostNameOf(this.#options.config));
  }

  /** @param shown as the server shows it: a plain key, or a certificate */
  async #judge(shown: Buffer): Promise<TundError | undefined> {
    const { config, files, signal, isLoopback } = this.#options;
    const { revokedHostKeys: lists, requiredRsaSize, isLocalhostTrusted, hostKeyAlias } = config;
    const damage = damageOf(shown, requiredRsaSize);
    if (damage !== null) return new TundError("KEX_FAILED", `${this.#name} is not spoken to: ${damage}`);
    const certificate = parseCertificate(shown);
    const list = await files.revoking(lists, shown, signal);
    if (list !== null) return this.#revoked(certificate?.key ?? shown, certificate, list);
    if (isLocalhostTrusted && isLoopback && hostKeyAlias === null) return undefined;
    const known = [...this.#options.known, ...(await this.#printed("HOSTNAME", this.#name, shown))];
    if (certificate !== null) return this.#judgeCertificate(known, certificate);
    return this.#revokedIn(known, shown, null) ?? this.#judgeKey(known, shown, await this.#addressOf(shown));
  }

  /** What KnownHostsCommand says of the key, or the certificate, that is shown. */
  async #printed(kind: "HOSTNAME" | "ADDRESS", name: string, key: Buffer): Promise<KnownHost[]> {
    const { knownHostsCommand: command, hostKeyTokens: tokens, ...more } = this.#options.config;
    if (command === null) return [];
    const host = kind === "HOSTNAME" ? hostNameOf(this.#options.config) : asItIs(name);
    const { environment, knownHostsVariables: variables } = more;
    const env = environment?.over(this.#options.children.env);
    const running = { ...this.#options, ...(env && { env }) };
    return askKnownHostsCommand({ command, tokens, variables, name, host }, { kind, key }, running);
  }

  /** The address that was dialled, and all that is known of it: for a plain key alone (sshconnect.c, check_host_key). */
  async #addressOf(key: Buffer): Promise<AddressToCheck | null> {
    const ofAddress = await this.#options.ofAddress();
    if (ofAddress === null) return null;
    const { name, known } = ofAddress;
    return { name, known: [...known, ...(await this.#printed("ADDRESS", name, key))] };
  }

  #revokedIn(
    known: readonly KnownHost[],
    key: Buffer,
    certificate: Certificate | null,
  ): TundError | undefined {
    const keys = certificate === null ? [key] : [key, certificate.authority];
    const by = revocation(known, { ...hostNameOf(this.#options.config), keys });
    return by === null ? undefined : this.#revoked(key, certificate, shownPlace(by));
  }

  // A certificate that is no good counts for nothing, and its key for what it is (sshconnect.c, check_host_key).
  async #judgeCertificate(
    known: readonly KnownHost[],
    certificate: Certificate,
  ): Promise<TundError | undefined> {
    const { config, clock, log } = this.#options;
    const { key } = certificate;
    const revoked = this.#revokedIn(known, key, certificate);
    if (revoked !== undefined) return revoked;
    const name = hostNameOf(config);
    const fault = faultOf(certificate, { known, name, algorithms: config.caAlgorithms, now: clock.now() });
    if (fault === null) return undefined; // and the keys of the host stay as they are
    // What nobody known has signed is like none.
    if (authorities(known, name).some((one) => one.equals(certificate.authority))) {
      log.warn({ fault }, "the host's certificate does not count");
      this.#warnings.push(`a certificate of ${this.#name} does not count: ${fault}`);
    }
    const plain = plainAlgorithm(certificate.type);
    if (!takesPlain(config.algorithms.hostkeyalgorithms, plain))
      return new TundError(
        "HOST_KEY_UNKNOWN",
        `${fault}, and HostKeyAlgorithms has no plain key of ${this.#name} taken`,
      );
    return this.#judgeKey(known, key, null, ` (${fault})`);
  }

  // Its own key, or that of the authority of its certificate; ssh tells neither which.
  #revoked(key: Buffer, certificate: Certificate | null, by: string): TundError {
    const isLoose = this.#options.config.strictHostKeyChecking === "no";
    const orIts =
      certificate === null
        ? ""
        : `, or the certificate '${certificate.keyId}', or its authority's ${shownKey(certificate.authority)},`;
    const stricter = isLoose
      ? ". That holds under StrictHostKeyChecking=no as well, where ssh forwards nothing"
      : "";
    return new TundError(
      "HOST_KEY_REVOKED",
      `the ${shownKey(key)} of ${this.#name}${orIts} is revoked by ${by}${stricter}`,
      { details: this.#details(key) },
    );
  }

  /** @param but why its certificate does not count */
  async #judgeKey(
    known: readonly KnownHost[],
    key: Buffer,
    ofAddress: AddressToCheck | null,
    but = "",
  ): Promise<TundError | undefined> {
    const { config, fresh } = this.#options;
    const found = verdict(known, { ...hostNameOf(config), key });
    const address = judgeAddress(key, found.kind, { config, ofAddress });
    switch (found.kind) {
      case "known":
        if (address.failure !== undefined) return address.failure;
        this.#knownBy = found;
        this.#knownKey = key;
        if (found.since === undefined) await fresh.recordAddress(address.unknown, key);
        else await fresh.record([this.#name], key); // it may be written now
        return undefined;
      case "changed":
        return this.#changed(key, found, but);
      case "unknown":
        return address.failure ?? this.#unknown(key, but, address.unknown);
      case "revoked":
        return this.#revoked(key, null, shownPlace(found));
    }
  }

  #changed(key: Buffer, found: Place, but: string): TundError {
    const name = this.#name;
    const [where, next] =
      found.since === undefined
        ? [`${shownPlace(found)} has another`, `remove the old key: ssh-keygen -R '${name}'`]
        : [
            `another was recorded in ${shownPlace(found)}`,
            `'tunctl trust ${this.#options.config.host}' replaces it`,
          ];
    return new TundError(
      "HOST_KEY_CHANGED",
      `the host key of ${name} has changed: it offers the ${shownKey(key)}, and ${where}${but}. ` +
        `Somebody may be listening; if the host was set up anew, ${next}`,
      { details: this.#details(key) },
    );
  }

  async #unknown(key: Buffer, but: string, address: string | undefined): Promise<TundError | undefined> {
    const { config, fresh } = this.#options;
    const name = this.#name;
    const unknown = (next: string) =>
      new TundError(
        "HOST_KEY_UNKNOWN",
        `the host key of ${name} is not known: ${shownKey(key)}${but}. ${next}`,
        {
          details: this.#details(key),
        },
      );
    const { strictHostKeyChecking: strict } = config;
    const mayBeTaken = strict === "accept-new" || strict === "no" || (strict === "ask" && fresh.canAsk);
    if (mayBeTaken && config.userKnownHostsFile === null)
      return unknown("UserKnownHostsFile is none, so that there is nowhere to record it");
    if (mayBeTaken && !isRecordable(name)) return unknown("That cannot be recorded as the name of a host");
    if (!mayBeTaken)
      return unknown(
        `If that is right, record it with 'tunctl trust ${config.host}', or connect with -o StrictHostKeyChecking=accept-new`,
      );
    if (strict === "ask" && !(await fresh.isVouchedFor(name, key)))
      return new TundError(
        "HOST_KEY_UNKNOWN",
        `the host key of ${name} was not accepted: ${fingerprint(key)}`,
      );
    await fresh.record([name, ...(address === undefined ? [] : [address])], key);
    return undefined;
  }

  #details(key: Buffer) {
    return { host: this.#name, fingerprint: fingerprint(key), type: displayType(key) };
  }
}

const takesPlain = (algorithms: readonly string[] | null, type: string): boolean =>
  algorithms === null ||
  algorithms.some((one) => one === type || (type === "ssh-rsa" && /^rsa-sha2-\d+$/.test(one)));

const asRefusal = (error: unknown): TundError =>
  error instanceof TundError ? error : new TundError("HOST_KEY_UNKNOWN", messageOf(error), { cause: error });
