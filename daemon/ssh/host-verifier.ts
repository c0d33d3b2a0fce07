// The verdict on a server's host key, for one connection attempt: strict, and given at once.
import type { Log } from "../../shared/log.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { HostConfig } from "./host-config.ts";
import { displayType, fingerprint } from "./host-key.ts";
import { appendKnownHost, type KnownHost, lookupName, verdict } from "./known-hosts.ts";

export class HostVerifier {
  readonly #config: HostConfig;
  readonly #known: readonly KnownHost[];
  readonly #log: Log;
  #accepted: Buffer | undefined;
  #failure: TundError | undefined;

  constructor(config: HostConfig, known: readonly KnownHost[], log: Log) {
    this.#config = config;
    this.#known = known;
    this.#log = log;
  }

  /** Why the key was refused, once it was. */
  get failure(): TundError | undefined {
    return this.#failure;
  }

  /**
   * Answers ssh2. Synchronous and strictly boolean: ssh2 takes anything but `false` for a yes, and an answer that comes
   * later kills a busy connection at its first rekey. The same key again (a rekey) is not judged anew.
   */
  verify(key: Buffer): boolean {
    if (this.#accepted !== undefined) return this.#accepted.equals(key);
    const failure = this.#judge(key);
    if (failure === undefined) {
      this.#accepted = Buffer.from(key);
      return true;
    }
    this.#failure = failure;
    return false;
  }

  #judge(key: Buffer): TundError | undefined {
    const { hostname, port, hostKeyAlias, strictHostKeyChecking } = this.#config;
    const found = verdict(this.#known, { host: hostname, port, hostKeyAlias, key });
    const name = hostKeyAlias ?? lookupName(hostname, port);
    const shown = `${displayType(key)} key ${fingerprint(key)}`;
    const details = { host: name, fingerprint: fingerprint(key), type: displayType(key) };
    switch (found.kind) {
      case "known":
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
          `the host key of ${name} has changed: it offers the ${shown}, and ${found.file}:${found.line} has another. ` +
            `Somebody may be listening; if the host was set up anew, remove the old key: ssh-keygen -R '${name}'`,
          { details },
        );
      case "unknown":
        return strictHostKeyChecking === "accept-new" || strictHostKeyChecking === "no"
          ? this.#record(name, key)
          : new TundError(
              "HOST_KEY_UNKNOWN",
              `the host key of ${name} is not known: ${shown}. If that is right, record it by logging in once ` +
                `with ssh, or connect with -o StrictHostKeyChecking=accept-new`,
              { details },
            );
    }
  }

  // Not awaited: the answer must be given now, and a full disk is no reason to refuse a host that may be accepted.
  #record(name: string, key: Buffer): undefined {
    const file = this.#config.userKnownHostsFile;
    const type = displayType(key);
    if (file === null) return undefined;
    appendKnownHost(file, { name, key: Buffer.from(key), hash: this.#config.hashKnownHosts }).then(
      () =>
        this.#log.info({ file, fingerprint: fingerprint(key) }, `recorded the ${type} host key of ${name}`),
      (error: unknown) =>
        this.#log.warn({ file, error: messageOf(error) }, `cannot record the host key of ${name}`),
    );
    return undefined;
  }
}
