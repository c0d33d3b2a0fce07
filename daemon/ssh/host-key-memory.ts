// Host keys that were accepted and could not be written to known_hosts: in memory, so that another key is noticed as long as
// tund lives.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { KnownHost } from "./known-hosts.ts";

const MOST_HOSTS = 1000;

/** Where keys should have been recorded, and by which name (`recordName`). */
export interface Unrecorded {
  file: string | null;
  name: string;
}

/** One per daemon. */
export class HostKeyMemory {
  readonly #clock: Clock;
  readonly #keys = new Map<string, readonly KnownHost[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is kept for a host. */
  of(host: Unrecorded): readonly KnownHost[] {
    return this.#keys.get(idOf(host)) ?? [];
  }

  /**
   * Keeps keys for a host, in place of what was kept for it; what was kept already stays as old as it is.
   * @throws TundError HOST_KEY_UNKNOWN when there is no room: the oldest are not forgotten, or any key would do for them
   */
  keep(host: Unrecorded, keys: readonly Buffer[]): void {
    const before = this.of(host);
    if (before.length === 0 && this.#keys.size >= MOST_HOSTS)
      throw new TundError(
        "HOST_KEY_UNKNOWN",
        `the keys of ${MOST_HOSTS} hosts are in memory, since known_hosts could not be written: there is no room ` +
          `for ${host.name}`,
      );
    const kept = { file: "memory", line: 0, marker: null, hosts: host.name, since: this.#clock.now() };
    this.#keys.set(
      idOf(host),
      keys.map((key) => before.find((one) => one.key.equals(key)) ?? { ...kept, key: Buffer.from(key) }),
    );
  }

  /** They are in the file now. */
  forget(host: Unrecorded): void {
    this.#keys.delete(idOf(host));
  }
}

const idOf = ({ file, name }: Unrecorded): string => JSON.stringify([file, name]);
