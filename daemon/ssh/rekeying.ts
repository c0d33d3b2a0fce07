// New keys before the old ones have protected too much (RFC 4253 section 9, RFC 4344 section 3): ssh2 follows a server that
// asks for them, and never asks itself. What went over the link is looked at now and then, so that no packet is counted.
import type { Clock, Timer } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";

const GIB = 1024 ** 3;

/** RekeyLimit of ssh_config(5); null where it leaves the choice open. */
export interface RekeyLimit {
  bytes: number | null;
  ms: number | null;
}

/** Bytes that went over a link, or the ciphers that they went under, by direction. */
export interface BothWays<T> {
  in: T;
  out: T;
}

// No packet is smaller, whatever the cipher: 16 bytes encrypted, and a MAC of 12. Sequence numbers, which are the nonce of
// chacha20-poly1305, have to last (RFC 4344 section 3.1; packet.c, MAX_PACKETS).
const SMALLEST_PACKET = 28;
const MOST_PACKETS = 2 ** 31;
// No link is faster: until that much can have come, there is nothing to look at.
const FASTEST_PER_MS = GIB / 1000;
const SHORTEST_PAUSE_MS = 100;
// What is on its way before the answer, some megabytes in the buffers of both ends, is through by then on any link worth it.
const ANSWER_MS = 120_000;

/**
 * How many bytes may go one way under the same keys: what the user chose, and no more than OpenSSH has (packet.c,
 * ssh_set_newkeys): 1 GiB for ciphers with small blocks, chacha20-poly1305 among them; for AES 2^32 blocks, which is cut
 * to what 2^31 packets have at least.
 */
export function volumeLimit(cipher: string, chosen: number | null): number {
  const most = cipher.startsWith("aes") ? Math.min(64 * GIB, MOST_PACKETS * SMALLEST_PACKET) : GIB;
  return Math.min(most, chosen ?? most);
}

export interface RekeyingParts {
  limit: RekeyLimit;
  clock: Clock;
  log: Log;
  /** bytes so far */
  traffic: () => BothWays<number>;
  /** begins a key exchange, unless one is under way */
  rekey: () => void;
  /** called once when a key exchange has not come to its end after so many seconds */
  onStuck: (seconds: number) => void;
}

export class Rekeying {
  readonly #parts: RekeyingParts;
  #most: BothWays<number>;
  #before: BothWays<number>;
  #since: number;
  #isOurs = false;
  #isStopped = false;
  #timer: Timer | undefined;

  /** @param ciphers what the first key exchange came to */
  constructor(parts: RekeyingParts, ciphers: BothWays<string>) {
    this.#parts = parts;
    this.#since = parts.clock.monotonic();
    this.#before = parts.traffic();
    this.#most = this.#limits(ciphers);
    this.#look();
  }

  /** To be called when new keys are in use, whoever asked for them. */
  renewed(ciphers: BothWays<string>): void {
    const { clock, traffic, log } = this.#parts;
    const now = traffic();
    const [bytesIn, bytesOut] = [now.in - this.#before.in, now.out - this.#before.out];
    const by = this.#isOurs ? "us" : "the server";
    log.debug({ bytesIn, bytesOut, seconds: this.#seconds }, `new keys, asked for by ${by}`);
    this.#isOurs = false;
    this.#since = clock.monotonic();
    this.#before = now;
    this.#most = this.#limits(ciphers);
    this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  get #seconds(): number {
    return Math.round((this.#parts.clock.monotonic() - this.#since) / 1000);
  }

  #limits(ciphers: BothWays<string>): BothWays<number> {
    const { bytes } = this.#parts.limit;
    return { in: volumeLimit(ciphers.in, bytes), out: volumeLimit(ciphers.out, bytes) };
  }

  #look(): void {
    this.#timer?.cancel();
    if (this.#isStopped) return; // new keys can come during the goodbye
    const { limit, clock, traffic } = this.#parts;
    const now = traffic();
    const left = Math.min(
      this.#most.in - (now.in - this.#before.in),
      this.#most.out - (now.out - this.#before.out),
    );
    const leftMs = limit.ms === null ? Infinity : this.#since + limit.ms - clock.monotonic();
    if (left <= 0 || leftMs <= 0) return this.#begin();
    const pause = Math.min(leftMs, Math.max(left / FASTEST_PER_MS, SHORTEST_PAUSE_MS));
    this.#timer = clock.after(Math.ceil(pause), () => this.#look());
  }

  #begin(): void {
    const { clock, rekey, onStuck } = this.#parts;
    this.#isOurs = true;
    this.#timer = clock.after(ANSWER_MS, () => onStuck(ANSWER_MS / 1000));
    rekey();
  }
}
