// Who wants to hear of changes, and what is a change: a state, a name, a reason; not a counter.
import { type Clock, timestamp } from "../../shared/clock.ts";
import type { Change, Failure, Forward, Master } from "../../shared/records.ts";

interface Source<Record> {
  snapshot(): Record;
}

export interface Listener {
  /** @param source the master or forward that has changed */
  onChange: (change: Change, source: object) => void;
  /** there will be no more */
  onEnd: () => void;
}

export class Journal {
  readonly #clock: Clock;
  readonly #listeners = new Set<Listener>();
  /** what was told last of each */
  readonly #told = new WeakMap<object, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How something is now, which nobody is told of as a change: to be called for what a new listener is shown. */
  note<Record extends Master | Forward>(source: Source<Record>): Record {
    const record = source.snapshot();
    this.#told.set(source, essence(record));
    return record;
  }

  /** Hears every change from now on, in order. Gives what ends that. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Tells everybody that there will be no more. */
  end(): void {
    for (const { onEnd } of this.#listeners) onEnd();
  }

  masterChanged(source: Source<Master>): void {
    this.#tell(source, () => {
      const master = source.snapshot();
      return { essence: essence(master), change: { type: "master", at: this.#now, master } };
    });
  }

  forwardChanged(source: Source<Forward>): void {
    this.#tell(source, () => {
      const forward = source.snapshot();
      return { essence: essence(forward), change: { type: "forward", at: this.#now, forward } };
    });
  }

  get #now(): string {
    return timestamp(this.#clock.now());
  }

  #tell(source: object, look: () => { essence: string; change: Change }): void {
    if (this.#listeners.size === 0) return;
    const now = look();
    if (this.#told.get(source) === now.essence) return;
    this.#told.set(source, now.essence);
    for (const { onChange } of this.#listeners) onChange(now.change, source);
  }
}

// The same failure again is no news; nor are counters, which change with every connection.
const essence = ({ failure, ...record }: (Master | Forward) & { failure: Failure | null }): string =>
  JSON.stringify({
    ...record,
    failure: failure && { ...failure, at: null },
    channels: null,
    bytes: null,
    roundTripMs: null,
    forwards: null,
  });
