// Which hosts have logged in, with which configuration and by which key: a refusal of the same login may pass, since a directory
// of users, or of keys, can be away for a while.

/** A login that was accepted, of which a refusal may pass. */
export interface GoodLogin {
  /** what its configuration is known by */
  options: string;
  /** the key, as `ED25519 SHA256:...` */
  identity: string;
}

const MOST_TEXT = 256;

const isText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && value.length <= MOST_TEXT;

/** What was saved of a host's last login; undefined for what makes no sense. */
export function goodLoginOf(saved: unknown): GoodLogin | undefined {
  if (typeof saved !== "object" || saved === null) return undefined;
  const { options, identity } = saved as Record<string, unknown>;
  return isText(options) && isText(identity) ? { options, identity } : undefined;
}

export class GoodLogins {
  /** by the host's name */
  readonly #logins = new Map<string, GoodLogin>();

  /**
   * A master has logged in under these names.
   * @param options what its configuration is known by
   * @param identity the key, as `ED25519 SHA256:...`; null: somebody typed something, or the server wanted nothing
   */
  note(names: Iterable<string>, options: string, identity: string | null): void {
    for (const host of names)
      if (identity === null) this.#logins.delete(host);
      else this.#logins.set(host, { options, identity });
  }

  /** The key by which one of these names has logged in with that configuration, if one has. */
  of(names: Iterable<string>, options: string): string | null {
    for (const host of names) {
      const login = this.#logins.get(host);
      if (login?.options === options) return login.identity;
    }
    return null;
  }

  /** What is to be saved of a host. */
  saved(host: string): GoodLogin | undefined {
    return this.#logins.get(host);
  }

  /** To be called with what was saved of a host. */
  restore(host: string, login: GoodLogin): void {
    this.#logins.set(host, login);
  }

  /** A host is not known any longer. */
  forget(host: string): void {
    this.#logins.delete(host);
  }
}
