// Connections that were accepted while the link is away, and wait for it: so many, so long, and no longer.
import type { Socket } from "node:net";
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";

export interface ParkingLimits {
  /** how long a connection waits, in milliseconds */
  ms: number;
  /** how many wait, for each forward */
  most: number;
}

export class Parking {
  readonly #limits: ParkingLimits;
  readonly #clock: Clock;
  readonly #waiting = new Set<{ serve: () => void; refuse: (why: TundError) => void }>();

  constructor(limits: ParkingLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** How many wait. */
  get parked(): number {
    return this.#waiting.size;
  }

  /**
   * Keeps a connection until `serve`. No more of it is read than one buffer holds.
   * @throws TundError CONNECTION_LOST when the link stays away, too many wait, or the client has left
   */
  wait(socket: Socket): Promise<void> {
    const { ms, most } = this.#limits;
    if (this.#waiting.size >= most || ms === 0)
      return Promise.reject(
        gone(ms === 0 ? "the link is away" : `the link is away, and ${most} connections wait for it`),
      );
    return new Promise((resolve, reject) => {
      const leave = () => {
        timer.cancel();
        socket.off("close", onClose);
        this.#waiting.delete(spot);
      };
      const refuse = (why: TundError) => {
        leave();
        reject(why);
      };
      const serve = () => {
        leave();
        resolve();
      };
      const onClose = () => refuse(gone("the client left before the link was back"));
      const timer = this.#clock.after(ms, () => refuse(gone(`the link was not back within ${ms / 1000} s`)));
      const spot = { serve, refuse };
      this.#waiting.add(spot);
      socket.once("close", onClose);
      socket.read(0); // or a reset would not be noticed; what arrives stays in the stream
    });
  }

  /** The link is back. */
  serve(): void {
    for (const { serve } of this.#waiting) serve();
  }

  /** It will not be. */
  refuse(why: TundError): void {
    for (const { refuse } of this.#waiting) refuse(why);
  }
}

const gone = (why: string): TundError => new TundError("CONNECTION_LOST", why);
