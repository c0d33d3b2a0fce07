// The process that computes key encapsulation: in tund nothing may take longer than a few milliseconds, and V8 may be told there to
// do without its optimiser. Here it has it, and nobody else waits. It reads requests from stdin and writes answers to stdout, and
// ends with its stdin, or for an error.
import { readSync, writeSync } from "node:fs";
import { sizes } from "./hybrids.ts";
import * as sntrup761 from "./sntrup761/sntrup761.ts";
import { decapsulate, generate, hello, type Operation } from "./worker-protocol.ts";

type Run = (input: Buffer) => Buffer | Promise<Buffer>;

// Loaded for who needs it: where Node has its own, nobody does.
const mlKem = async () => (await import("@noble/post-quantum/ml-kem.js")).ml_kem768;

const operations: readonly [Operation, Run][] = [
  [hello, () => Buffer.alloc(1)],
  [
    generate.mlkem768,
    async () => {
      const { publicKey, secretKey } = (await mlKem()).keygen();
      return Buffer.concat([publicKey, secretKey]);
    },
  ],
  [
    generate.sntrup761,
    () => {
      const { publicKey, secretKey } = sntrup761.generateKeyPair();
      return Buffer.concat([publicKey, secretKey]);
    },
  ],
  [
    decapsulate.mlkem768,
    async (input) => {
      const at = sizes.mlkem768.ciphertext;
      return Buffer.from((await mlKem()).decapsulate(input.subarray(0, at), input.subarray(at)));
    },
  ],
  [
    decapsulate.sntrup761,
    (input) => {
      const at = sizes.sntrup761.ciphertext;
      return sntrup761.decapsulate(input.subarray(0, at), input.subarray(at));
    },
  ],
];

/** So many bytes of stdin; null at its end. */
function read(length: number): Buffer | null {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length;) {
    const count = readSync(0, bytes, at, length - at, null);
    if (count === 0) return null;
    at += count;
  }
  return bytes;
}

function write(bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at);
}

async function serve(): Promise<void> {
  for (let code = read(1); code !== null; code = read(1)) {
    const found = operations.find(([operation]) => operation.code === code?.[0]);
    if (found === undefined) throw new Error(`there is no operation ${code[0]}`);
    const [operation, run] = found;
    const input = read(operation.input);
    if (input === null) return;
    write(await run(input));
    input.fill(0); // secrets of ours
  }
}

// What it throws ends the process, on whose stderr tund finds it.
void serve();
