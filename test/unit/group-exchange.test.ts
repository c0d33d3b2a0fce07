import { createDiffieHellman, getDiffieHellman } from "node:crypto";
import { describe, expect, it } from "vitest";
import { exchangeInGroup, Group } from "../../daemon/ssh/ssh2/group-exchange.ts";
import type { KeyExchange } from "../../daemon/ssh/ssh2/internals.ts";

const two = Buffer.from([2]);
const prime = (bits: number): Buffer =>
  getDiffieHellman(`modp${{ 2048: 14, 3072: 15, 4096: 16, 8192: 18 }[bits]}`).getPrime();
const changed = (number: Buffer, by: (copy: Buffer) => void): Buffer => {
  const copy = Buffer.from(number);
  by(copy);
  return copy;
};

describe("a group of Diffie-Hellman group exchange", () => {
  it.each([2048, 3072, 4096, 8192])(
    "of %i bits comes to the secret that Node's own arithmetic comes to",
    (bits) => {
      const group = new Group(prime(bits), two);
      const other = getDiffieHellman(`modp${{ 2048: 14, 3072: 15, 4096: 16, 8192: 18 }[bits]}`);
      other.generateKeys();
      const secret = other.computeSecret(group.ours);
      expect(group.secretWith(other.getPublicKey()).equals(secret)).toBe(true);
    },
  );

  it("may have any generator in range, and a prime that nobody has a name for", () => {
    // 2^2048 - 1942289 is a prime: no list has it.
    const odd = changed(Buffer.alloc(256, 0xff), (copy) => copy.writeUIntBE(0xffffff - 1942289 + 1, 253, 3));
    const group = new Group(odd, Buffer.from([5]));
    const other = createDiffieHellman(odd, Buffer.from([5]));
    other.generateKeys();
    expect(group.secretWith(other.getPublicKey()).equals(other.computeSecret(group.ours))).toBe(true);
  });

  it("makes another key each time, of 512 bits or more", () => {
    const [one, other] = [new Group(prime(2048), two), new Group(prime(2048), two)];
    expect(one.ours.equals(other.ours)).toBe(false);
    expect(one.ours.length).toBeGreaterThan(200);
  });

  it.each([
    [
      "1024 bits",
      Buffer.concat([Buffer.alloc(127, 0xff), Buffer.from([0xfd])]),
      two,
      /1024 bits: 2048 to 8192/,
    ],
    ["2047 bits", changed(prime(2048), (p) => p.writeUInt8(0x7f)), two, /2047 bits/],
    ["8200 bits", Buffer.concat([Buffer.from([0x80]), prime(8192)]), two, /8200 bits/],
    ["nothing", Buffer.alloc(0), two, /0 bits/],
    ["an even prime", changed(prime(2048), (p) => p.writeUInt8(0xfe, 255)), two, /even/],
    ["the generator 0", prime(2048), Buffer.alloc(0), /generator/],
    ["the generator 1", prime(2048), Buffer.from([1]), /generator/],
    ["the generator p - 1", prime(2048), changed(prime(2048), (p) => p.writeUInt8(0xfe, 255)), /generator/],
    ["the generator p", prime(2048), prime(2048), /generator/],
  ])("of %s is refused", (_what, p, g, why) => {
    expect(() => new Group(p, g)).toThrow(why);
  });

  it.each([
    ["0", Buffer.alloc(0)],
    ["1", Buffer.from([1])],
    ["p - 1", changed(prime(2048), (p) => p.writeUInt8(0xfe, 255))],
    ["p", prime(2048)],
    ["more than p", Buffer.concat([Buffer.from([1]), prime(2048)])],
    ["a number with three bits set", Buffer.from([7])],
  ])("takes no %s for the server's public value", (_what, value) => {
    expect(() => new Group(prime(2048), two).secretWith(value)).toThrow(/the server's public value/);
  });

  it("takes no negative number from the wire", () => {
    const exchange = { _public: null } as unknown as KeyExchange;
    exchangeInGroup(exchange);
    expect(() => exchange.setDHParams(prime(2048), two)).toThrow(/negative/);
    exchange.setDHParams(Buffer.concat([Buffer.alloc(1), prime(2048)]), two);
    exchange.generateKeys();
    expect(exchange.computeSecret(prime(2048))).toMatchObject({
      message: expect.stringContaining("negative") as string,
    });
  });
});
