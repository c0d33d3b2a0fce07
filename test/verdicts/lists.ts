// RevokedHostKeys of the table: lists and KRLs, sound and damaged.
import { chmod, copyFile, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sshString } from "../../daemon/wire-format.ts";
import { run } from "../support/run.ts";
import { type Around, hostOf, type Shown } from "./servers.ts";

const krlMade = async (spec: readonly string[], arguments_: readonly string[], around: Around) => {
  const path = await around.file([]);
  const input = await around.file(spec);
  const { code, stderr } = await run("ssh-keygen", ["-q", "-k", "-f", path, ...arguments_, input]);
  if (code !== 0) throw new Error(`ssh-keygen -k: ${stderr}`);
  return path;
};

/** A list as its bytes, from that of a sound one. */
async function damaged(
  from: Promise<string>,
  around: Around,
  damage: (bytes: Buffer) => Buffer,
): Promise<string> {
  const path = await around.file([]);
  await writeFile(path, damage(Buffer.from(await readFile(await from))));
  return path;
}

type Lists = Record<string, () => Promise<string>>;

/** Makes one, by its name in the table. Gives its path. */
export function makeList(name: string, of: Shown, around: Around): Promise<string> {
  const make = {
    ...sound(of, around),
    ...damagedTexts(of, around),
    ...damagedKrls(of, around),
    ...odd(of, around),
  }[name];
  if (make === undefined) throw new Error(`no list is '${name}'`);
  return make();
}

const base64 = (blob: Buffer): string => blob.toString("base64");

function flipped(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
}

function sound(of: Shown, around: Around): Lists {
  const { authority, other, file } = around;
  const { key, certificate } = around.server(of);
  const [own, ca, lone] = [key.publicKey, authority.publicKey, other.publicKey];
  const text = (...lines: string[]) => file(lines);
  const withCa = ["-s", `${authority.path}.pub`];
  return {
    "list of others": () => text("# nobody", "", `  ${lone} a comment`),
    "list of others, CR LF": () => text(`${lone}\r`, `${lone} comment\r`),
    "list without an end of line": () => damaged(text(lone), around, (bytes) => bytes.subarray(0, -1)),
    "empty list": () => text(),
    "list of the key": () => text(lone, `${own} comment`),
    "list of the authority": () => text(lone, ca),
    "list of the certificate": () => text(certificate ?? ""),
    "/dev/null": async () => "/dev/null",
    "KRL of others": () => krlMade([`key: ${lone}`], [], around),
    "KRL of the key": () => krlMade([`key: ${own}`], [], around),
    "KRL of its SHA-1": () => krlMade([`sha1: ${own}`], [], around),
    "KRL of its SHA-256": () => krlMade([`sha256: ${own}`], [], around),
    "KRL of its hash": async () => {
      const { stdout } = await run("ssh-keygen", ["-lf", `${key.path}.pub`]);
      return krlMade([`hash: ${stdout.split(" ")[1] ?? ""}`], [], around);
    },
    "KRL of the authority": () => krlMade([`key: ${ca}`], [], around),
    "KRL of the serial": () => krlMade(["serial: 7"], withCa, around),
    "KRL of serials": () => krlMade(["serial: 3-9"], withCa, around),
    "KRL of many serials": () =>
      krlMade(["serial: 1", "serial: 3", "serial: 5", "serial: 7", "serial: 64"], withCa, around),
    "KRL of another serial": () => krlMade(["serial: 8"], withCa, around),
    "KRL of the id": () => krlMade(["id: good"], withCa, around),
    "KRL of another id": () => krlMade(["id: bad"], withCa, around),
    "KRL of the id, of any authority": () => krlMade(["id: good"], ["-s", "none"], around),
  };
}

function damagedTexts(of: Shown, around: Around): Lists {
  const { other, file } = around;
  const { key, certificate } = around.server(of);
  const [own, lone, blob] = [key.publicKey, other.publicKey, other.blob];
  const text = (...lines: string[]) => file(lines);
  return {
    "a line of garbage": () => text(lone, "garbage"),
    "garbage behind the key": () => text(own, "garbage"),
    "a key in the middle of a line": () => text(`host ${lone}`),
    "a line of known_hosts": () => text(`@revoked * ${lone}`),
    "a key with options": () => text(`no-pty ${lone}`),
    "a type alone": () => text("ssh-ed25519"),
    "a type that nobody knows": () =>
      text(`ssh-none ${base64(Buffer.concat([sshString("ssh-none"), sshString("x")]))}`),
    "a type that is another": () => text(`ssh-rsa ${base64(blob)}`),
    "a key cut short": () => text(`ssh-ed25519 ${base64(blob.subarray(0, -2))}`),
    "a key with more behind it": () => text(`ssh-ed25519 ${base64(Buffer.concat([blob, Buffer.from("x")]))}`),
    "a key of the wrong length": () =>
      text(`ssh-ed25519 ${base64(Buffer.concat([sshString("ssh-ed25519"), sshString(Buffer.alloc(31))]))}`),
    "base64 cut short": () => text(lone.slice(0, -3)),
    "base64 with a letter that is none": () => text(lone.replace(/.$/, "!")),
    "a point on no curve": () => text(`ecdsa-sha2-nistp256 ${base64(offCurve())}`),
    "a curve that is another": () => text(`ecdsa-sha2-nistp384 ${base64(offCurve())}`),
    "a negative modulus": () => text(`ssh-rsa ${base64(negativeModulus())}`),
    "a byte order mark": () =>
      damaged(text(lone), around, (bytes) => Buffer.concat([Buffer.from("\ufeff"), bytes])),
    "a line with CR alone": () => text(lone, "\r"),
    "a NUL in a line": () => text(`${lone.slice(0, 40)}\0${lone.slice(40)}`),
    "a line of NULs": () => text(lone, "\0\0\0\0"),
    "UTF-16": () => damaged(text(lone), around, (bytes) => Buffer.from(bytes.toString(), "utf16le")),
    "a certificate with one bit wrong": () =>
      text(
        (certificate ?? lone).replace(
          /AAAA(.{300})./,
          (all_, same: string) => `AAAA${same}${all_.endsWith("A") ? "B" : "A"}`,
        ),
      ),
    "a private key": async () => key.path,
  };
}

function damagedKrls(of: Shown, around: Around): Lists {
  const krlOfKey = () => krlMade([`key: ${around.server(of).key.publicKey}`], [], around);
  const krlOfOther = () => krlMade([`key: ${around.other.publicKey}`], [], around);
  return {
    "magic with one byte wrong": () => damaged(krlOfKey(), around, (bytes) => flipped(bytes, 3)),
    "magic alone": () => damaged(krlOfKey(), around, (bytes) => bytes.subarray(0, 8)),
    "half the magic": () => damaged(krlOfKey(), around, (bytes) => bytes.subarray(0, 4)),
    "a version that nobody knows": () => damaged(krlOfOther(), around, (bytes) => flipped(bytes, 10)),
    "a header cut short": () => damaged(krlOfOther(), around, (bytes) => bytes.subarray(0, 30)),
    "a section cut short": () => damaged(krlOfOther(), around, (bytes) => bytes.subarray(0, -5)),
    "a section that nobody knows": () =>
      damaged(krlOfOther(), around, (bytes) => Buffer.concat([bytes, Buffer.from([99, 0, 0, 0, 0])])),
    "a byte behind the end": () =>
      damaged(krlOfOther(), around, (bytes) => Buffer.concat([bytes, Buffer.from([1])])),
    "a KRL in base64": () => damaged(krlOfKey(), around, (bytes) => Buffer.from(base64(bytes))),
  };
}

function odd(of: Shown, { directory, file, other }: Around): Lists {
  return {
    missing: async () => join(directory, "nonexistent", "list"),
    "a directory": async () => directory,
    "a link to nothing": async () => {
      const path = join(directory, `link-${hostOf(of)}`);
      await symlink(join(directory, "nothing"), path);
      return path;
    },
    unreadable: async () => {
      const path = join(directory, `unreadable-${hostOf(of)}`);
      await copyFile(await file([other.publicKey]), path);
      await chmod(path, 0o000);
      return path;
    },
    "a link to itself": async () => {
      const path = join(directory, `loop-${hostOf(of)}`);
      await symlink(path, path);
      return path;
    },
    "below a file": async () => join(await file([other.publicKey]), "list"),
  };
}

const offCurve = (): Buffer =>
  Buffer.concat([
    sshString("ecdsa-sha2-nistp256"),
    sshString("nistp256"),
    sshString(Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 9)])),
  ]);

const negativeModulus = (): Buffer =>
  Buffer.concat([sshString("ssh-rsa"), sshString(Buffer.from([3])), sshString(Buffer.alloc(256, 0xff))]);
