// daemon/ssh/known-hosts.ts against ssh itself: the same files, the same server, the same verdict.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lookupName } from "../../daemon/ssh/known-hosts.ts";
import { type Verdict, verdict } from "../../daemon/ssh/known-hosts-verdict.ts";
import { makeOutside } from "../support/outside.ts";
import { run } from "../support/run.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

let sshd: Sshd;
/** the server's key, another one of its type, and one of another type */
let [own, other, rsa]: Key[] = [];
beforeAll(async () => {
  sshd = await startSshd();
  [own] = sshd.hostKeys;
  other = await makeKey(join(sshd.directory, "other"), "ed25519");
  rsa = await makeKey(join(sshd.directory, "rsa"), "rsa");
});
afterAll(() => sshd?.stop());

interface Layout {
  /** the lines of the user's file, and of the global one; NAME is `[127.0.0.1]:PORT`, OWN, OTHER and RSA are keys */
  user?: string[];
  global?: string[];
  alias?: string;
  /** whether ssh-keygen hashes the user's file */
  hash?: boolean;
}

describe("a server is judged as ssh judges it", () => {
  test.each<[string, Layout, Verdict["kind"]]>([
    ["nothing is known", {}, "unknown"],
    ["its key is known", { user: ["NAME OWN"] }, "known"],
    ["its key is known, hashed", { user: ["NAME OWN"], hash: true }, "known"],
    ["its key is known, among others", { user: ["NAME OTHER", "NAME RSA", "NAME OWN"] }, "known"],
    ["its key is known in the global file", { user: ["NAME OTHER"], global: ["NAME OWN"] }, "known"],
    ["another key is known", { user: ["NAME OTHER"] }, "changed"],
    ["another key is known, hashed", { user: ["NAME OTHER"], hash: true }, "changed"],
    ["a key of another type is known", { user: ["NAME RSA"] }, "changed"],
    ["a key of another type is known in the global file", { global: ["NAME RSA"] }, "changed"],
    ["the bare host has its key", { user: ["127.0.0.1 OWN"] }, "known"],
    ["the bare host has its key, hashed", { user: ["127.0.0.1 OWN"], hash: true }, "known"],
    ["the bare host has another key", { user: ["127.0.0.1 OTHER"] }, "unknown"],
    ["the bare host has its key, the port another", { user: ["127.0.0.1 OWN", "NAME OTHER"] }, "changed"],
    ["another port has its key", { user: ["[127.0.0.1]:1 OWN"] }, "unknown"],
    ["an alias has its key", { user: ["al OWN"], alias: "al" }, "known"],
    ["an alias has its key, in another case", { user: ["AL OWN"], alias: "aL" }, "known"],
    ["an alias has its key, hashed", { user: ["al OWN"], alias: "AL", hash: true }, "known"],
    ["an alias has another key", { user: ["al OTHER"], alias: "al" }, "changed"],
    ["an alias has no port", { user: ["[al]:PORT OWN"], alias: "al" }, "unknown"],
    ["an alias stands for the host", { user: ["NAME OWN"], alias: "al" }, "unknown"],
    ["its key is revoked", { user: ["@revoked NAME OWN"] }, "revoked"],
    ["its key is revoked for all", { user: ["NAME OWN", "@revoked * OWN"] }, "revoked"],
    ["its key is revoked in the other file", { user: ["NAME OWN"], global: ["@revoked * OWN"] }, "revoked"],
    ["its key is revoked for others", { user: ["NAME OWN", "@revoked elsewhere OWN"] }, "known"],
    ["another key is revoked", { user: ["@revoked NAME OTHER"] }, "unknown"],
    ["its key is an authority's", { user: ["@cert-authority NAME OWN"] }, "unknown"],
    ["another key is an authority's", { user: ["NAME OWN", "@cert-authority * OTHER"] }, "known"],
    ["a wildcard has its key", { user: ["127.0.0.* OWN"] }, "known"],
    ["a wildcard with brackets has its key", { user: ["[127.0.0.?]:* OWN"] }, "known"],
    ["a wildcard has another key", { user: ["*:PORT OTHER", "127.* OWN"] }, "changed"],
    ["the host is taken out", { user: ["*,!NAME,!127.0.0.1 OWN"] }, "unknown"],
    ["the port is taken out, the bare host is not", { user: ["*,!NAME OWN"] }, "known"],
    ["others are taken out", { user: ["*,!*.example OWN"] }, "known"],
    ["one of several names", { user: ["db,NAME,10.0.0.1 OWN comment # more"] }, "known"],
    [
      "lines that are none",
      { user: ["# NAME OTHER", "", "NAME", "NAME x y", "@x NAME OTHER", "NAME OWN\r"] },
      "known",
    ],
    ["a broken key of another type", { user: ["NAME ssh-rsa AAAA", "NAME ssh-ed25519 OWN"] }, "unknown"],
    ["tabs", { user: ["\tNAME\tOWN\t"] }, "known"],
  ])("%s", async (_, layout, kind) => {
    const files = await writeFiles(layout);
    const asked = { host: sshd.host, port: sshd.port, hostKeyAlias: layout.alias ?? null };
    const { hosts } = await makeOutside().hostKeyFiles.find(files, asked);
    expect(verdict(hosts, { ...asked, key: own?.blob ?? Buffer.alloc(0) }).kind).toBe(kind);
    expect(await sshSays(files, layout)).toBe(kind);
  });

  test("but a key that is revoked for the bare host is always refused, where ssh's accept-new takes it for a new one", async () => {
    const files = await writeFiles({ user: ["@revoked 127.0.0.1 OWN"] });
    const asked = { host: sshd.host, port: sshd.port, hostKeyAlias: null, key: own?.blob ?? Buffer.alloc(0) };
    const { hosts } = await makeOutside().hostKeyFiles.find(files, asked);
    expect(verdict(hosts, asked).kind).toBe("revoked");
    expect(await sshSays(files, {})).toBe("revoked");
    expect(await sshSays(files, { strict: "accept-new" })).toBe("known");
  });
});

async function writeFiles({ user = [], global = [], hash = false }: Layout): Promise<string[]> {
  const words: Record<string, string | undefined> = {
    NAME: lookupName(sshd.host, sshd.port),
    PORT: String(sshd.port),
    OWN: own?.publicKey,
    OTHER: other?.publicKey,
    RSA: rsa?.publicKey,
  };
  const text = (lines: string[]) =>
    lines.map((line) => `${line.replaceAll(/[A-Z]{3,}/g, (word) => words[word] ?? word)}\n`).join("");
  const files = ["user_hosts", "global_hosts"].map((name) => join(sshd.directory, name)) as [string, string];
  await writeFile(files[0], text(user));
  await writeFile(files[1], text(global));
  if (hash) await run("ssh-keygen", ["-H", "-f", files[0]]);
  return files;
}

/** What ssh makes of it: it gets in, or says why not. */
async function sshSays(
  [user, global]: string[],
  { alias, strict = "yes" }: { alias?: string; strict?: string },
): Promise<string> {
  const options = [
    ["BatchMode", "yes"],
    ["StrictHostKeyChecking", strict],
    ["UpdateHostKeys", "no"],
    ["UserKnownHostsFile", user],
    ["GlobalKnownHostsFile", global],
    ...(alias === undefined ? [] : [["HostKeyAlias", alias]]),
  ].flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const { code, stderr } = await run("ssh", ["-F", sshd.sshConfig, ...options, "testhost", "true"]);
  if (code === 0) return "known";
  if (stderr.includes("REVOKED HOST KEY")) return "revoked";
  if (stderr.includes("REMOTE HOST IDENTIFICATION HAS CHANGED")) return "changed";
  return stderr.includes("host key is known for") ? "unknown" : stderr;
}
