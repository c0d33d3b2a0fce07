import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { displayType, fingerprint } from "../../daemon/ssh/host-key.ts";
import { parseKnownHosts } from "../../daemon/ssh/known-hosts.ts";
import { verdict } from "../../daemon/ssh/known-hosts-verdict.ts";
import { appendKnownHost } from "../../daemon/ssh/known-hosts-record.ts";
import { keyBlob, keyText } from "../support/key-blob.ts";
import { makeOutside } from "../support/outside.ts";
import { run } from "../support/run.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const A = keyBlob("ssh-ed25519", "a");
const B = keyBlob("ssh-ed25519", "b");

const nameOf = (host: string) => ({ host, port: 22, hostKeyAlias: null });

const judge = (text: string, host: string, { key, port = 22 }: { key: Buffer; port?: number }) =>
  verdict(parseKnownHosts("kh", text), { host, port, hostKeyAlias: null, key }).kind;

/** The lines that ssh-keygen finds for a host. */
async function found(file: string, name: string): Promise<string[]> {
  const { stdout } = await run("ssh-keygen", ["-f", file, "-F", name]);
  return stdout.split("\n").filter((text) => text !== "" && !text.startsWith("#"));
}

describe("known_hosts files", () => {
  let directory: TempDir;
  let keys: Key[];
  const path = (name: string) => join(directory.path, name);
  beforeAll(async () => {
    directory = await tempDir();
    const types = ["ed25519", "ecdsa", "rsa"] as const;
    keys = await Promise.all(types.map((type) => makeKey(path(type), type)));
  });
  afterAll(() => directory.remove());

  test("are read in their order; those that are missing are empty, those that cannot be read are told of", async () => {
    await writeFile(path("one"), `h ${keyText(A)}\nnonsense\n`);
    await writeFile(path("two"), `h ${keyText(B)}\n`);
    const files = ["two", "missing", "one", "one/not-a-directory"].map(path);
    const { hosts, problems } = await makeOutside().hostKeyFiles.find(
      [...files, directory.path],
      nameOf("h"),
    );
    expect(hosts.map(({ file, line: number }) => `${file}:${number}`)).toEqual([
      `${path("two")}:1`,
      `${path("one")}:1`,
    ]);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("EISDIR");
  });

  test("fingerprints and types are those that ssh-keygen shows", async () => {
    for (const key of keys) {
      const { stdout } = await run("ssh-keygen", ["-l", "-f", `${key.path}.pub`]);
      expect(stdout).toContain(` ${fingerprint(key.blob)} `);
      expect(stdout).toContain(`(${displayType(key.blob)})`);
    }
  });

  test("recorded keys are found by ssh-keygen and by us, hashed or not, by their name alone", async () => {
    const names = ["db.example", "[db.example]:2222", "10.1.2.3", "[fe80::1%eth0]:22022", "::1"];
    for (const hash of [false, true]) {
      const file = path(`recorded-${hash}`);
      for (const name of names)
        for (const { blob: key } of keys) await appendKnownHost(file, { name, key, hash });
      for (const name of names) expect(await found(file, name)).toHaveLength(keys.length);
      expect(await found(file, "other.example")).toEqual([]);
      const text = await readFile(file, "utf8");
      expect(text.includes("db.example")).toBe(!hash);
      for (const { blob: key } of keys) {
        expect(judge(text, "DB.example", { key, port: 2222 })).toBe("known");
        expect(judge(text, "::1", { key })).toBe("known");
        expect(judge(text, "other.example", { key })).toBe("unknown");
      }
    }
  });

  test("a file that ssh-keygen -H hashed reads as before", async () => {
    const file = path("hashed");
    const [first, second] = keys as [Key, Key];
    await writeFile(file, `a.example,10.0.0.1 ${first.publicKey}\n[b.example]:22022 ${second.publicKey}\n`);
    const { code } = await run("ssh-keygen", ["-H", "-f", file]);
    expect(code).toBe(0);
    const text = await readFile(file, "utf8");
    expect(text).not.toContain("example");
    for (const host of ["a.example", "A.EXAMPLE", "10.0.0.1"])
      expect(judge(text, host, { key: first.blob })).toBe("known");
    expect(judge(text, "b.example", { key: second.blob, port: 22_022 })).toBe("known");
    expect(judge(text, "b.example", { key: first.blob, port: 22_022 })).toBe("changed");
    expect(judge(text, "b.example", { key: second.blob })).toBe("unknown");
  });

  test("lines name the hosts that ssh-keygen -F finds them for (property)", async () => {
    const part = fc.stringMatching(/^!?[ab*?[]{0,2}[ab.*?\]:2]{0,4}$/);
    const hosts = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(",") || "a");
    const samples = fc.sample(hosts, { numRuns: 200, seed: 7 });
    const file = path("patterns");
    await writeFile(file, samples.map((text) => `${text} ${keyText(A)}\n`).join(""));
    const lookups = ["a", "b", "ab", "a.b", "aab", "[a]:2", "[ab]:2222", "ba.2"];
    for (const name of lookups) {
      const theirs = (await run("ssh-keygen", ["-f", file, "-F", name])).stdout;
      const lines = [...theirs.matchAll(/found: line ([0-9]+)/g)].map(([, number]) => Number(number));
      const ours = samples.flatMap((text, index) =>
        verdict(parseKnownHosts("kh", `${text} ${keyText(A)}`), {
          host: "",
          port: 22,
          hostKeyAlias: name,
          key: A,
        }).kind === "known"
          ? [index + 1]
          : [],
      );
      expect({ name, lines: ours }).toEqual({ name, lines });
    }
  });

  test("the file and its directory are made, and are private", async () => {
    const file = path("new/dir/known_hosts");
    await appendKnownHost(file, { name: "h", key: A, hash: false });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await stat(path("new/dir"))).mode & 0o777).toBe(0o700);
    expect(await readFile(file, "utf8")).toBe(`h ${keyText(A)}\n`);
  });

  test("a line goes behind one that has no end, and leaves the file's mode alone", async () => {
    const file = path("unended");
    await writeFile(file, `g ${keyText(B)}`);
    await chmod(file, 0o644);
    await appendKnownHost(file, { name: "[H]:2222", key: A, hash: false });
    await appendKnownHost(file, { name: "i", key: A, hash: false });
    expect(await readFile(file, "utf8")).toBe(`g ${keyText(B)}\n[h]:2222 ${keyText(A)}\ni ${keyText(A)}\n`);
    expect((await stat(file)).mode & 0o777).toBe(0o644);
  });

  test("lines that are added at the same time all arrive whole", async () => {
    const file = path("crowd");
    const names = Array.from({ length: 50 }, (_, index) => `h${index}`);
    await Promise.all(names.map((name) => appendKnownHost(file, { name, key: A, hash: false })));
    const { hosts } = await makeOutside().hostKeyFiles.find([file], nameOf("none"), [A]);
    expect(new Set(hosts.map((one) => one.hosts))).toEqual(new Set(names));
  });

  test.each([
    "*",
    "a,b",
    "h*",
    "!h",
    "a b",
    "h\nx",
    "#h",
    "@h",
    "|1|h",
    "",
    "[h]",
    "[h]:x",
    "[h,*]:22",
    "h?",
  ])("a name that would mean other hosts, or none, is not recorded: %j", async (name) => {
    const file = path("refused");
    await expect(appendKnownHost(file, { name, key: A, hash: false })).rejects.toThrow("cannot be recorded");
    await expect(readFile(file)).rejects.toThrow("ENOENT");
  });

  test("a directory that cannot be made is an error", async () => {
    await mkdir(path("plain"), { recursive: true });
    await writeFile(path("plain/file"), "");
    const append = appendKnownHost(path("plain/file/known_hosts"), { name: "h", key: A, hash: false });
    await expect(append).rejects.toThrow(/ENOTDIR|EEXIST/);
  });
});
