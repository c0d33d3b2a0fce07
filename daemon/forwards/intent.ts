// What commands want of something: what was acknowledged, and over it what those that are under way ask for.

export class Intent<T extends object> {
  readonly #pending = new Map<object, Partial<T>>();
  #acknowledged: T;
  #value: T;

  constructor(value: T) {
    this.#acknowledged = value;
    this.#value = value;
  }

  get value(): Readonly<T> {
    return this.#value;
  }

  /** What was acknowledged last. */
  get acknowledged(): Readonly<T> {
    return this.#acknowledged;
  }

  /** Whether a command that is under way needs it. */
  get isClaimed(): boolean {
    return this.#pending.size > 0;
  }

  /** Whether one other than `command` does. */
  isClaimedBeside(command: object): boolean {
    return this.#pending.size > (this.#pending.has(command) ? 1 : 0);
  }

  /** A command needs it, and asks for this besides. */
  claim(command: object, wishes: Partial<T> = {}): void {
    this.#pending.set(command, { ...this.#pending.get(command), ...wishes });
    this.#renew();
  }

  /** The command was answered. */
  commit(command: object): void {
    this.#acknowledged = { ...this.#acknowledged, ...this.#pending.get(command) };
    this.rollback(command);
  }

  /** The command has failed: what it asked for does not count, unless somebody else asked for it too. */
  rollback(command: object): void {
    this.#pending.delete(command);
    this.#renew();
  }

  /** Whatever anybody asked for: so it is from now on. */
  settle(wishes: Partial<T>): void {
    this.#acknowledged = { ...this.#acknowledged, ...wishes };
    for (const pending of this.#pending.values())
      for (const key of Object.keys(wishes)) delete pending[key as keyof T];
    this.#renew();
  }

  #renew(): void {
    this.#value = Object.assign({}, this.#acknowledged, ...this.#pending.values()) as T;
  }
}
