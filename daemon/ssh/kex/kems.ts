// Key encapsulation for all connections: by Node's crypto where it has it, else by a worker. Key pairs are made ahead, one for
// each host that uses them: the next login or exchange of new keys has not to wait for it.
import type { KeyObject } from "node:crypto";
import type { Log } from "../../../shared/log.ts";
import { hybrids, type Kem, sizes } from "./hybrids.ts";
import { NativeMlKem } from "./native-ml-kem.ts";
import { decapsulate, generate } from "./worker-protocol.ts";
import type { Worker } from "./worker-process.ts";

// Three KiB each; of hosts that are long gone the oldest go.
const MOST_SPARES = 1000;

/** A key pair for one exchange. */
export interface KeyPair {
  publicKey: Buffer;
  secret: Buffer | KeyObject;
}

export interface KemsOptions {
  worker: Worker;
  log: Log;
}

export class Kems {
  readonly #worker: Worker;
  readonly #log: Log;
  readonly #native = new NativeMlKem();
  #isNativeThere: boolean | undefined;
  /** by mechanism and owner */
  readonly #spares = new Map<string, KeyPair>();
  readonly #wanted = new Map<string, Kem>();
  #isRefilling = false;
  #told: string | undefined;

  constructor({ worker, log }: KemsOptions) {
    this.#worker = worker;
    this.#log = log;
  }

  /** The hybrid exchanges that can be done here and now, in order of preference. */
  async offered(): Promise<readonly string[]> {
    const absence = await this.absence();
    if (absence !== null && absence !== this.#told)
      this.#log.warn(
        { why: absence },
        "post-quantum key exchange is not offered, but for what Node's crypto has",
      );
    this.#told = absence ?? undefined;
    const can = (kem: Kem) => absence === null || this.#isNative(kem);
    return hybrids.filter(({ kem }) => can(kem)).map(({ name }) => name);
  }

  /**
   * A key pair that nobody else gets.
   * @param owner whose spare one may be used; null: one that has none
   * @throws Error when the worker cannot make one
   */
  async keyPair(kem: Kem, owner: string | null): Promise<KeyPair> {
    if (this.#isNative(kem)) return this.#native.generateKeyPair();
    const name = nameOf(kem, owner);
    const spare = this.#spares.get(name);
    this.#spares.delete(name);
    return spare ?? (await this.#generate(kem));
  }

  /**
   * The secret of 32 bytes that is in a ciphertext for the key pair, which is of no use after it. Then the owner gets a spare one.
   * @param ciphertext as long as it has to be
   * @throws Error when the worker cannot do it
   */
  async decapsulate(
    kem: Kem,
    ciphertext: Buffer,
    { pair, owner }: { pair: KeyPair; owner: string | null },
  ): Promise<Buffer> {
    const { secret } = pair;
    if (!Buffer.isBuffer(secret)) return this.#native.decapsulate(ciphertext, secret);
    const shared = await this.#worker.run(decapsulate[kem], Buffer.concat([ciphertext, secret]));
    secret.fill(0);
    if (owner !== null) this.#wanted.set(nameOf(kem, owner), kem);
    void this.#refill();
    return shared;
  }

  /** Why there is no worker, by which not all that is offered elsewhere can be; null where there is one. */
  absence(): Promise<string | null> {
    return this.#worker.absence();
  }

  /** Ends the worker. */
  close(): void {
    this.#worker.stop();
  }

  #isNative(kem: Kem): boolean {
    if (kem !== "mlkem768") return false;
    return (this.#isNativeThere ??= this.#native.isThere());
  }

  async #generate(kem: Kem): Promise<KeyPair> {
    const made = await this.#worker.run(generate[kem], Buffer.alloc(0));
    const at = sizes[kem].publicKey;
    return { publicKey: made.subarray(0, at), secret: made.subarray(at) };
  }

  // While nobody waits for the worker.
  async #refill(): Promise<void> {
    if (this.#isRefilling) return;
    this.#isRefilling = true;
    try {
      for (let [next] = this.#wanted; next !== undefined && this.#worker.isIdle; [next] = this.#wanted) {
        const [name, kem] = next;
        this.#wanted.delete(name);
        this.#spares.delete(name); // to be the youngest
        this.#spares.set(name, await this.#generate(kem));
        for (const oldest of [...this.#spares.keys()].slice(0, -MOST_SPARES)) this.#spares.delete(oldest);
      }
    } catch {
      // It is made when it is needed, or the exchange is not offered.
    } finally {
      this.#isRefilling = false;
    }
  }
}

const nameOf = (kem: Kem, owner: string | null): string => `${kem} ${owner}`;
