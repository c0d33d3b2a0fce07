// User authentication (RFC 4252): which method to try next, and what to say when none is left.
import type { AnyAuthMethod, AuthHandlerMiddleware } from "ssh2";
import { TundError } from "../../shared/errors.ts";
import type { Identities } from "./identities.ts";

/** The course of one login. `none` goes first, as in ssh: it costs a round trip and tells what the server accepts. */
export class Login {
  readonly #user: string;
  readonly #identities: Identities;
  readonly #tried: string[] = [];
  #accepted: readonly string[] = [];
  #next = -1;

  constructor(user: string, identities: Identities) {
    this.#user = user;
    this.#identities = identities;
  }

  readonly handler: AuthHandlerMiddleware = (accepted, _partial, next) => {
    // null on the first call, whatever the types say (ssh2 lib/client.js).
    if (Array.isArray(accepted)) this.#accepted = accepted;
    const method = this.#method();
    // `false` ends the login; the types do not know it.
    next(method ?? (false as unknown as AnyAuthMethod));
  };

  #method(): AnyAuthMethod | undefined {
    if (this.#next++ === -1) return { type: "none", username: this.#user };
    if (!this.#accepted.includes("publickey")) return undefined;
    const offer = this.#identities.offers[this.#next - 1];
    if (offer !== undefined) this.#tried.push(offer.label);
    return offer?.method;
  }

  /** Why the login failed: what the server accepts, what was tried, what could not be. */
  failure(where: string, said: string): TundError {
    const { skipped } = this.#identities;
    const parts = [
      `${where} accepts ${this.#accepted.join(", ") || "nothing that it names"}`,
      this.#tried.length > 0 ? `refused: ${this.#tried.join(", ")}` : "tund had no key to offer",
      ...(skipped.length > 0 ? [`not offered: ${skipped.join(", ")}`] : []),
      ...(/too many/i.test(said)
        ? ["the server allows no more tries: set IdentitiesOnly and IdentityFile"]
        : []),
    ];
    return new TundError("AUTH_FAILED", `authentication failed: ${parts.join("; ")}`, {
      details: { accepted: [...this.#accepted], tried: [...this.#tried], skipped: [...skipped] },
    });
  }
}
