import { generateKeyPairSync } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { damageOf, isWholeKey } from "../../daemon/ssh/public-key.ts";
import { mpint, sshString } from "../../daemon/wire-format.ts";

const bytes = (text: string | undefined) => Buffer.from(text ?? "", "base64url");
const blobOf = (...fields: (Buffer | string)[]) => Buffer.concat(fields.map((field) => sshString(field)));

const ed25519 = blobOf("ssh-ed25519", Buffer.alloc(32, 1));
const { x, y } = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ format: "jwk" });
const point = Buffer.concat([Buffer.from([4]), bytes(x), bytes(y)]);
const ecdsa = blobOf("ecdsa-sha2-nistp384", "nistp384", point);
const { e, n } = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ format: "jwk" });
const rsa = Buffer.concat([sshString("ssh-rsa"), mpint(bytes(e)), mpint(bytes(n))]);
const token = blobOf("sk-ssh-ed25519@openssh.com", Buffer.alloc(32, 1), "ssh:");
const whole = [ed25519, ecdsa, rsa, token];

describe("a public key", () => {
  it("is whole, and not when it was cut short anywhere, or has more behind it", () => {
    for (const key of whole) {
      expect(isWholeKey(key)).toBe(true);
      for (let length = 0; length < key.length; length++)
        expect(isWholeKey(key.subarray(0, length))).toBe(false);
      expect(isWholeKey(Buffer.concat([key, Buffer.alloc(1)]))).toBe(false);
    }
  });

  it("is none with a point on no curve, a negative number, or a curve that is another", () => {
    const moved = Buffer.from(point);
    moved.writeUInt8(moved.readUInt8(40) ^ 1, 40);
    expect(isWholeKey(blobOf("ecdsa-sha2-nistp384", "nistp384", moved))).toBe(false);
    expect(isWholeKey(blobOf("ecdsa-sha2-nistp384", "nistp256", point))).toBe(false);
    expect(isWholeKey(blobOf("ssh-rsa", Buffer.from([3]), Buffer.alloc(256, 0xff)))).toBe(false);
  });

  it("is judged or refused, whatever it is, and nothing is thrown", () => {
    fc.assert(
      fc.property(fc.constantFrom(...whole), fc.nat(), fc.nat(255), (key, at, byte) => {
        const changed = Buffer.from(key);
        changed.writeUInt8(byte, at % key.length);
        const isWhole = isWholeKey(changed);
        expect(damageOf(changed, 0) === null).toBe(isWhole);
      }),
    );
  });

  it("of RSA is refused by a host's owner who wants a longer one", () => {
    expect(damageOf(rsa, 2048)).toBeNull();
    expect(damageOf(rsa, 3072)).toBe("its RSA host key has 2048 bits, and RequiredRSASize wants 3072");
    expect(damageOf(ed25519, 3072)).toBeNull();
  });
});
