// Private keys as people have them: of each algorithm, and in each form of file that ssh reads.
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { sshString } from "../../daemon/wire-format.ts";
import { run } from "../support/run.ts";

export const PASSPHRASE = "correct horse";

/** A key's file, and its line of authorized_keys. */
export interface KeyFile {
  path: string;
  publicKey: string;
  isEncrypted: boolean;
}

/** One form, and how a file of it is made. */
export interface Form {
  name: string;
  make(path: string): Promise<KeyFile>;
}

const keygen = async (path: string, args: readonly string[], passphrase = ""): Promise<KeyFile> => {
  const { code, stderr } = await run("ssh-keygen", [
    "-q",
    ...args,
    "-N",
    passphrase,
    "-C",
    "test",
    "-f",
    path,
  ]);
  if (code !== 0) throw new Error(`ssh-keygen: ${stderr}`);
  const [type = "", base64 = ""] = (await readFile(`${path}.pub`, "utf8")).split(" ");
  return { path, publicKey: `${type} ${base64}`, isEncrypted: passphrase !== "" };
};

const rsa = ["-t", "rsa", "-b", "2048"];
const ed25519 = ["-t", "ed25519"];

/** What servers have to know an algorithm for; each in another form. */
export const algorithms: readonly Form[] = [
  { name: "RSA", make: (path) => keygen(path, rsa) },
  { name: "ECDSA", make: (path) => keygen(path, ["-t", "ecdsa"]) },
  { name: "Ed25519 with a passphrase", make: (path) => keygen(path, ed25519, PASSPHRASE) },
];

async function changed(made: Promise<KeyFile>, change: (text: string) => string): Promise<KeyFile> {
  const key = await made;
  await writeFile(key.path, change(await readFile(key.path, "utf8")), { mode: 0o600 });
  return key;
}

/** The line of authorized_keys for a key of Node's (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4). */
function publicKeyOf(key: KeyObject): string {
  const { kty, n = "", e = "", x = "", y = "" } = createPublicKey(key).export({ format: "jwk" });
  const bytes = (base64url: string) => Buffer.from(base64url, "base64url");
  // RFC 4251 section 5: an mpint that would begin with a bit that is set has a zero before it.
  const mpint = (base64url: string) => Buffer.concat([Buffer.alloc(1), bytes(base64url)]);
  const fields = {
    RSA: ["ssh-rsa", bytes(e), mpint(n)],
    EC: ["ecdsa-sha2-nistp256", "nistp256", Buffer.concat([Buffer.from([4]), bytes(x), bytes(y)])],
    OKP: ["ssh-ed25519", bytes(x)],
  }[kty as "RSA" | "EC" | "OKP"];
  return `${String(fields[0])} ${Buffer.concat(fields.map((field) => sshString(field))).toString("base64")}`;
}

async function written(path: string, key: KeyObject, text: string): Promise<KeyFile> {
  await writeFile(path, text, { mode: 0o600 });
  return { path, publicKey: publicKeyOf(key), isEncrypted: text.includes("ENCRYPTED") };
}

function pkcs8(path: string, key: KeyObject, passphrase?: string): Promise<KeyFile> {
  const encryption = passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase };
  return written(path, key, String(key.export({ type: "pkcs8", format: "pem", ...encryption })));
}

const rsaKey = () => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const ecKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const edKey = () => generateKeyPairSync("ed25519").privateKey;

/** As `openssl ecparam -genkey` writes it: the curve in a block of its own before the key. */
function ecparam(path: string): Promise<KeyFile> {
  const key = ecKey();
  const parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  return written(path, key, parameters + String(key.export({ type: "sec1", format: "pem" })));
}

/** Forms of files; of most there are no public keys beside them. */
export const forms: readonly Form[] = [
  { name: "RSA in PEM", make: (path) => keygen(path, [...rsa, "-m", "PEM"]) },
  { name: "RSA in PEM with a passphrase", make: (path) => keygen(path, [...rsa, "-m", "PEM"], PASSPHRASE) },
  { name: "RSA in PKCS#8", make: (path) => pkcs8(path, rsaKey()) },
  { name: "RSA in PKCS#8 with a passphrase", make: (path) => pkcs8(path, rsaKey(), PASSPHRASE) },
  { name: "ECDSA in PKCS#8", make: (path) => pkcs8(path, ecKey()) },
  { name: "ECDSA of openssl ecparam", make: ecparam },
  { name: "Ed25519 in PKCS#8", make: (path) => pkcs8(path, edKey()) },
  {
    name: "Ed25519 with CRLF",
    make: (path) => changed(keygen(path, ed25519), (text) => text.replaceAll("\n", "\r\n")),
  },
  {
    name: "Ed25519 behind other text",
    make: (path) => changed(keygen(path, ed25519), (text) => `# the key of build.example.com\n\n${text}`),
  },
  {
    name: "Ed25519 before other text",
    make: (path) => changed(keygen(path, ed25519), (text) => `${text}of build.example.com\n`),
  },
  ...["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "3des-cbc"].map((cipher) => ({
    name: `Ed25519 encrypted by ${cipher}`,
    make: (path: string) => keygen(path, [...ed25519, "-Z", cipher, "-a", "4"], PASSPHRASE),
  })),
];
