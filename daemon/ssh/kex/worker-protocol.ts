// What tund and its worker say to each other: a request is an operation and its input, of a length that the operation has, and
// so is an answer. One at a time.
import { SECRET_BYTES, sizes, type Kem } from "./hybrids.ts";

/** Bytes that go in and come out. */
export interface Operation {
  code: number;
  input: number;
  output: number;
}

const generating = (code: number, kem: Kem): Operation => ({
  code,
  input: 0,
  output: sizes[kem].publicKey + sizes[kem].secretKey,
});
const decapsulating = (code: number, kem: Kem): Operation => ({
  code,
  input: sizes[kem].ciphertext + sizes[kem].secretKey,
  output: SECRET_BYTES,
});

/** Says that it is there. */
export const hello: Operation = { code: 0, input: 0, output: 1 };
/** A public key and a secret key. */
export const generate: Readonly<Record<Kem, Operation>> = {
  mlkem768: generating(1, "mlkem768"),
  sntrup761: generating(2, "sntrup761"),
};
/** Of a ciphertext and a secret key, the shared secret. */
export const decapsulate: Readonly<Record<Kem, Operation>> = {
  mlkem768: decapsulating(3, "mlkem768"),
  sntrup761: decapsulating(4, "sntrup761"),
};
