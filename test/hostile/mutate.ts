// What a hostile peer makes of something valid: bits turned, ends cut, lengths that lie, pieces put in, taken out, doubled.
import type { Random } from "./random.ts";

const LENGTHS = [0, 1, 2, 4, 255, 256, 65_535, 65_536, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];
const BYTES = [0, 1, 0x0a, 0x0d, 0x1b, 0x20, 0x22, 0x2f, 0x3a, 0x5c, 0x7f, 0x80, 0xc3, 0xfe, 0xff];

/** Texts that have been somebody's undoing: property names of objects, control characters, no UTF-8, long ones. */
export const NASTY_TEXTS: readonly Buffer[] = [
  "",
  "\0",
  "a\0b",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "\u001b[2J",
  "\u202e",
  "%n%s%x",
  "../../etc/passwd",
  "-oProxyCommand=x",
  "\r\n\r\n",
  "a,b,,c",
  ",".repeat(300),
  "*?".repeat(40),
  "localhost",
  "127.0.0.1",
  "::1",
  "65536",
  "-1",
  "1e9",
  "NaN",
  " ",
  "\t",
  "é",
  "\ufeff",
  "x".repeat(300),
]
  .map((text) => Buffer.from(text))
  .concat([Buffer.from([0xff, 0xfe, 0xc0, 0x80]), Buffer.alloc(65_536, "a"), Buffer.alloc(4096)]);

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const splice = (bytes: Buffer, from: number, to: number, ...middle: Buffer[]): Buffer =>
  Buffer.concat([bytes.subarray(0, from), ...middle, bytes.subarray(to)]);

const piece = (bytes: Buffer, random: Random): [number, number] => {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + random.below(33))];
};

const changed = (bytes: Buffer, change: (copy: Buffer) => void): Buffer => {
  const copy = Buffer.from(bytes);
  if (copy.length > 0) change(copy);
  return copy;
};

const mutations: readonly Mutation[] = [
  (bytes, random) =>
    changed(bytes, (copy) => {
      const at = random.below(copy.length);
      copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
    }),
  (bytes, random) => changed(bytes, (copy) => (copy[random.below(copy.length)] = random.pick(BYTES))),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) =>
    changed(bytes, (copy) => {
      if (copy.length >= 4) copy.writeUInt32BE(random.pick(LENGTHS), random.below(copy.length - 3));
    }),
  (bytes, random) => splice(bytes, ...piece(bytes, random)),
  (bytes, random) => {
    const [from, to] = piece(bytes, random);
    return splice(bytes, to, to, bytes.subarray(from, to));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return splice(bytes, at, at, random.bytes(random.below(17)));
  },
  (bytes, random) => {
    const [from, to] = piece(bytes, random);
    return splice(bytes, from, to, random.oneIn(50) ? random.pick(NASTY_TEXTS) : shortOne(random));
  },
];

const SHORT_TEXTS = NASTY_TEXTS.filter(({ length }) => length <= 300);
const shortOne = (random: Random): Buffer => random.pick(SHORT_TEXTS);

/** Changes something valid once or a few times; the original stays as it is. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated = bytes;
  do mutated = random.pick(mutations)(mutated, random);
  while (random.oneIn(2));
  return mutated;
}

/** As mutate, of a text; what is no UTF-8 after that becomes U+FFFD. */
export const mutateText = (text: string, random: Random): string =>
  mutate(Buffer.from(text), random).toString("utf8");

/** Cuts bytes into pieces, as a slow or a strange network does: whole, in a few, or byte by byte. */
export function pieces(bytes: Buffer, random: Random): Buffer[] {
  const longest = random.pick([1, 7, 100, Infinity]);
  const cut: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number.isFinite(longest) ? 1 + random.below(longest) : bytes.length;
    cut.push(bytes.subarray(at, at + length));
    at += length;
  }
  return cut;
}
