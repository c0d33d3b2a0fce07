// The text of a file with a private key in it: PEM (RFC 7468), as OpenSSL writes it and as OpenSSH does.
import { createPrivateKey, type KeyObject } from "node:crypto";
import { mpint, sshString } from "../wire-format.ts";

/** The first private key of a file. */
export interface KeyBlock {
  /** what its marks say that it is: `OPENSSH`, `RSA`, `EC`, `DSA`, `ENCRYPTED`, or empty (PKCS #8) */
  kind: string;
  /** from mark to mark, with nothing before, behind or at the ends of its lines */
  text: string;
  /** whether it takes a passphrase; of OpenSSH's own format that stands inside */
  isEncrypted: boolean;
}

const BEGIN = /^-----BEGIN (?:([A-Z]+) )?PRIVATE KEY-----$/;

/**
 * Finds the first private key in a text. What stands before it (EC PARAMETERS, the attributes that OpenSSL writes) and
 * behind it (a certificate, a comment) is not looked at, as ssh does not. Null when there is none.
 */
export function keyBlockIn(text: string): KeyBlock | null {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\r|\n/, MOST_LINES)
    .map((line) => line.trimEnd());
  const from = lines.findIndex((line) => BEGIN.test(line));
  const begin = BEGIN.exec(lines[from] ?? "");
  if (begin === null) return null;
  const kind = begin[1] ?? "";
  const end = `-----END ${kind === "" ? "" : `${kind} `}PRIVATE KEY-----`;
  const to = lines.indexOf(end, from);
  if (to < 0) return null;
  const block = lines.slice(from, to + 1);
  const isEncrypted = kind === "ENCRYPTED" || /^Proc-Type: 4,ENCRYPTED$/.test(block[1] ?? "");
  return { kind, text: `${block.join("\n")}\n`, isEncrypted };
}

const MOST_LINES = 4096; // the longest key that ssh-keygen makes has 200

/**
 * Reads a key that OpenSSL wrote and that takes no passphrase: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017), SEC 1 (RFC 5915).
 * @throws Error of one line when it makes no sense
 */
export function readPem({ text }: KeyBlock): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw new Error("it makes no sense as a private key", { cause: error });
  }
}

const curves: ReadonlyMap<string, string> = new Map([
  ["P-256", "nistp256"],
  ["P-384", "nistp384"],
  ["P-521", "nistp521"],
]);

/**
 * The public half of a private key as SSH has it (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4).
 * @throws Error when SSH has no such keys
 */
export function publicBlobOf(key: KeyObject): Buffer {
  const type = key.asymmetricKeyType;
  if (type !== "rsa" && type !== "ec" && type !== "ed25519") throw new Error(`ssh takes no ${type} keys`);
  const jwk = key.export({ format: "jwk" });
  const [n, e, x, y] = [jwk.n, jwk.e, jwk.x, jwk.y].map((part) => Buffer.from(part ?? "", "base64url"));
  if (n === undefined || e === undefined || x === undefined || y === undefined) throw new Error("no key");
  if (type === "rsa") return Buffer.concat([sshString("ssh-rsa"), mpint(e), mpint(n)]);
  if (type === "ed25519") return Buffer.concat([sshString("ssh-ed25519"), sshString(x)]);
  const curve = curves.get(jwk.crv ?? "");
  if (curve === undefined) throw new Error(`ssh takes no keys on the curve ${jwk.crv}`);
  const point = Buffer.concat([Buffer.from([4]), x, y]); // uncompressed (SEC 1, section 2.3.3)
  return Buffer.concat([sshString(`ecdsa-sha2-${curve}`), sshString(curve), sshString(point)]);
}
