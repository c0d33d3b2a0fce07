// Identity files of every shape that ssh takes, beside ssh.
import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { publicBlobOf } from "../../daemon/ssh/key-text.ts";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

const SECRET = "correct horse";

let sshd: Sshd;
let tund: Tund;
let files = 0;

beforeAll(async () => {
  sshd = await startSshd({ config: () => ["MaxStartups 100"] });
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

const authorize = (publicKey: string) =>
  appendFile(join(sshd.directory, "authorized_keys"), `${publicKey.trim()}\n`);

/** A key of ssh-keygen's that lets in, and no public half beside it. */
async function keygen(args: readonly string[], passphrase = ""): Promise<string> {
  const path = join(sshd.directory, `key-${files++}`);
  const made = await run("ssh-keygen", ["-q", "-N", passphrase, "-f", path, ...args]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  await authorize(await readFile(`${path}.pub`, "utf8"));
  await rm(`${path}.pub`);
  return path;
}

/** A file with this text. */
async function file(text: string): Promise<string> {
  const path = join(sshd.directory, `key-${files++}`);
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

/** A file that OpenSSL made, which lets in. */
async function openssl(args: readonly string[]): Promise<string> {
  const made = await run("openssl", args);
  expect(made.code).toBe(0);
  const path = await file(made.stdout);
  const { stdout } = await run("ssh-keygen", ["-y", "-f", path]);
  await authorize(stdout);
  return path;
}

/** Who gets in with it as the only identity: ssh, and tund. */
async function whoGetsIn(IdentityFile: string) {
  const name = `h${files++}`;
  await sshd.addHost(name, {
    IdentityFile,
    NumberOfPasswordPrompts: 1,
    PreferredAuthentications: "publickey",
  });
  const asked = await Promise.all([askpass(sshd.directory, [SECRET]), askpass(sshd.directory, [SECRET])]);
  const env = (index: 0 | 1) => ({ ...process.env, ...asked[index].env });
  const ssh = await run("ssh", ["-F", sshd.sshConfig, name, "true"], { env: env(0) });
  const ours = await tund.tunctl(["connect", name], { env: env(1) });
  const [theirQuestions, questions] = await Promise.all(asked.map((one) => one.questions()));
  return { ssh: ssh.code === 0, tund: ours.code === 0, said: ours.stderr, theirQuestions, questions };
}

const both = { ssh: true, tund: true };

describe("An identity file without a public half beside it", () => {
  it.each([
    ["RSA in PEM", ["-t", "rsa", "-m", "PEM"]],
    ["RSA in PKCS #8", ["-t", "rsa", "-m", "PKCS8"]],
    ["ECDSA in PEM", ["-t", "ecdsa", "-m", "PEM"]],
    ["ECDSA in PKCS #8", ["-t", "ecdsa", "-b", "384", "-m", "PKCS8"]],
    ["ECDSA of 521 bits in PKCS #8", ["-t", "ecdsa", "-b", "521", "-m", "PKCS8"]],
  ])("lets in as it does for ssh: %s", async (_, args) => {
    expect(await whoGetsIn(await keygen(args))).toMatchObject(both);
  });

  it.each([
    ["RSA in PEM", ["-t", "rsa", "-m", "PEM"]],
    ["RSA in PKCS #8", ["-t", "rsa", "-m", "PKCS8"]],
    ["ECDSA in PKCS #8", ["-t", "ecdsa", "-m", "PKCS8"]],
    ["Ed25519", ["-t", "ed25519"]],
    ...["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-cbc", "3des-cbc"].map(
      (cipher): [string, string[]] => [`Ed25519 under ${cipher}`, ["-t", "ed25519", "-Z", cipher]],
    ),
  ])("is opened by its passphrase, for which is asked once: %s", async (_, args) => {
    const found = await whoGetsIn(await keygen(args, SECRET));
    expect(found).toMatchObject(both);
    expect(found.questions).toEqual(found.theirQuestions);
    expect(found.questions).toHaveLength(1);
  });
});

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
if (!hasOpenssl) console.log("skipped: identities that OpenSSL makes, since there is no openssl");

describe.skipIf(!hasOpenssl)("An identity that OpenSSL has made", () => {
  it.each([
    ["RSA", ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]],
    ["ECDSA", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]],
    ["ECDSA behind its parameters", ["ecparam", "-name", "prime256v1", "-genkey"]],
  ])("lets in as it does for ssh: %s", async (_, args) => {
    expect(await whoGetsIn(await openssl(args))).toMatchObject(both);
  });
});

describe("Text around a key", () => {
  const texts: [string, (key: string) => string][] = [
    [
      "attributes before it",
      (key) => `Bag Attributes\n    friendlyName: key\nKey Attributes: <No Attributes>\n${key}`,
    ],
    ["blank lines before it", (key) => `\n\n${key}`],
    ["a comment behind it", (key) => `${key}\nsome comment\n`],
    [
      "a certificate behind it",
      (key) => `${key}-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n`,
    ],
    ["blanks at the ends of its lines", (key) => key.replaceAll("\n", " \n")],
    ["CR LF", (key) => key.replaceAll("\n", "\r\n")],
    ["no newline at its end", (key) => key.trimEnd()],
    ["a byte order mark", (key) => `\uFEFF${key}`],
  ];

  it.each(texts)("in PEM is no matter to ssh, nor to tund: %s", async (_, around) => {
    const key = await readFile(await keygen(["-t", "rsa", "-b", "2048", "-m", "PEM"]), "utf8");
    expect(await whoGetsIn(await file(around(key)))).toMatchObject(both);
  });

  // ssh refuses some of these ("error in libcrypto"): what it takes is taken, and nothing is lost by the others.
  it.each(texts)("in OpenSSH's format is no matter to tund: %s", async (_, around) => {
    const key = await makeKey(join(sshd.directory, `key-${files++}`), "ed25519");
    await authorize(key.publicKey);
    const path = await file(around(await readFile(key.path, "utf8")));
    expect(await whoGetsIn(path)).toMatchObject({ tund: true });
  });
});

it("An Ed25519 key in PKCS #8 lets in, which newer versions of ssh take", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  await authorize(`ssh-ed25519 ${publicBlobOf(privateKey).toString("base64")}`);
  const path = await file(privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  expect(await whoGetsIn(path)).toMatchObject({ tund: true });
});

describe("An identity that is not offered is named with why", () => {
  const nonsense = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
  const other = (type: "x25519" | "ed448") =>
    generateKeyPairSync(type as "ed448")
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString();

  it.each([
    ["nonsense", nonsense, "it makes no sense as a private key"],
    ["a key that SSH does not have", other("ed448"), "ssh takes no ed448 keys"],
    ["a key that nobody signs with", other("x25519"), "ssh takes no x25519 keys"],
    ["one that is cut short", nonsense.slice(0, 40), "Unsupported key format"],
    ["an empty file", "", "Unsupported key format"],
  ])("%s", async (_, text, why) => {
    const path = await file(text);
    const { tund: isIn, said } = await whoGetsIn(path);
    expect(isIn).toBe(false);
    expect(said).toContain(`not offered: ${path}: ${why}`);
  });

  it("without anybody to ask for a passphrase", async () => {
    const path = await keygen(["-t", "rsa", "-m", "PEM"], SECRET);
    const name = `h${files++}`;
    await sshd.addHost(name, { IdentityFile: path });
    const { code, stderr } = await tund.tunctl(["connect", name]);
    expect(code).toBe(7);
    expect(stderr).toContain(`not offered: ${path}: `);
    expect(stderr).toContain(`the passphrase of ${path}`);
  });
});
