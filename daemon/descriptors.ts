// The descriptors that the process may have, the last of which are kept for whoever is to set things right.
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import type { Log } from "../shared/log.ts";
import { descriptorOf } from "../shared/native/load.ts";

/** How it stands with them. */
export interface DescriptorUse {
  /** how many there may be (RLIMIT_NOFILE of getrlimit(2)); null where that is not known */
  limit: number | null;
  /** connections that were refused because there were too many */
  refused: number;
}

// For a new link: ssh -G and its pipes, the socket, files; and for the control socket.
const KEPT = { most: 64, part: 4 };
// Of these for the control socket alone.
const KEPT_FOR_CONTROL = { most: 8, part: 8 };

export class Descriptors {
  readonly #limit: number | null;
  readonly #log: Log;
  #refused = 0;

  constructor(limit: number | null, log: Log) {
    this.#limit = limit;
    this.#log = log;
  }

  get use(): DescriptorUse {
    return { limit: this.#limit, refused: this.#refused };
  }

  /** Whether a connection to a forward or a mux socket may stay; one that may not is closed, at once. */
  admits(socket: Socket): boolean {
    if (!this.#isBeyond(socket, KEPT)) return true;
    this.#refuse(socket, "the last ones are kept for the control socket");
    socket.destroy();
    return false;
  }

  /** Whether a connection to the control socket has one of the very last. */
  isLast(socket: Socket): boolean {
    if (!this.#isBeyond(socket, KEPT_FOR_CONTROL)) return false;
    this.#refuse(socket, "silent ones to the control socket make room");
    return true;
  }

  // The system gives the lowest number that is free: one near the limit says that all below it are taken.
  #isBeyond(socket: Socket, kept: { most: number; part: number }): boolean {
    const fd = descriptorOf(socket);
    if (fd === undefined || this.#limit === null) return false;
    return fd >= this.#limit - Math.min(kept.most, Math.floor(this.#limit / kept.part));
  }

  #refuse(socket: Socket, what: string): void {
    this.#refused++;
    this.#log.warn(
      { open: descriptorOf(socket), limit: this.#limit },
      `out of descriptors (ulimit -n, LimitNOFILE): a connection was refused; ${what}`,
    );
  }
}

/** How many this process may have; null where that cannot be known. */
export function descriptorLimit(): number | null {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}
