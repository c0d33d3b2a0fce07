// What servers wanted of logins beyond what they say to everybody: a server that wants a key and a code names the code only to
// who has proven the key.
import type { HostConfig } from "./host-config.ts";
import { whereOf } from "./host-config.ts";

/** A login that was halfway there (RFC 4252 section 5.1, partial success). */
export interface Halfway {
  /** `key`, `password`, `keyboard-interactive`: what the server has taken, in order */
  accepted: readonly string[];
  /** the methods that it would go on with, at that point */
  wants: readonly string[];
}

const MOST_SERVERS = 4096;

/** `key accepted; the server also wants keyboard-interactive`. @param wants the methods, listed */
export const halfwayText = ({ accepted }: Pick<Halfway, "accepted">, wants: string): string =>
  `${accepted.join(" and ")} accepted; the server also wants ${wants || "what it does not name"}`;

/** In memory, for as long as the daemon lives; the oldest is forgotten for want of room. */
export class LoginMemory {
  readonly #halfway = new Map<string, Halfway>();

  keep(config: HostConfig, halfway: Halfway): void {
    this.forget(config);
    this.#halfway.set(whereOf(config), halfway);
    for (const oldest of this.#halfway.keys()) {
      if (this.#halfway.size <= MOST_SERVERS) break;
      this.#halfway.delete(oldest);
    }
  }

  /** One thing was enough. */
  forget(config: HostConfig): void {
    this.#halfway.delete(whereOf(config));
  }

  /** How far the last login came that did not get in, or got in by more than one thing. */
  of(config: HostConfig): Halfway | undefined {
    return this.#halfway.get(whereOf(config));
  }
}
