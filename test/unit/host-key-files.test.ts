// Searching known_hosts files: what is found is what a reading of the whole file finds, whatever stands there.
import { execFileSync } from "node:child_process";
import crypto from "node:crypto";
import { truncate, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseKnownHosts } from "../../daemon/ssh/known-hosts.ts";
import { authorities, knownAlgorithms, verdict } from "../../daemon/ssh/known-hosts-verdict.ts";
import { knownHostLine } from "../../daemon/ssh/known-hosts-record.ts";
import { systemClock } from "../../shared/clock.ts";
import { keyBlob, keyText } from "../support/key-blob.ts";
import { makeOutside } from "../support/outside.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const [A, B] = [keyBlob("ssh-ed25519", "a"), keyBlob("ssh-ed25519", "b")];
const nameOf = (host: string, port = 22) => ({ host, port, hostKeyAlias: null });
// One for whom no file was written just now: what is found is kept.
const later = { ...systemClock, now: () => Date.now() + 3_600_000 };

let directory: TempDir;
beforeAll(async () => {
  directory = await tempDir();
});
afterAll(() => directory.remove());
let count = 0;
const path = () => join(directory.path, `known-${count++}`);

async function written(text: string): Promise<string> {
  const file = path();
  await writeFile(file, text);
  return file;
}

/** How often something is hashed meanwhile. */
async function hashes(run: () => Promise<void>): Promise<number> {
  const real = crypto.createHmac;
  let all = 0;
  crypto.createHmac = (...args) => (all++, real(...args));
  syncBuiltinESMExports();
  try {
    await run();
    return all;
  } finally {
    crypto.createHmac = real;
    syncBuiltinESMExports();
  }
}

const hashed = (name: string, key: Buffer) => knownHostLine({ name, key, hash: true });

describe("known hosts that are searched", () => {
  it("come to the same verdict as those that are read whole (property)", async () => {
    const names = ["h", "H", "[h]:2222", "*", "h*", "!h", "?", "x", "é", "[h]:*", "x".repeat(3000)];
    const hosts = fc
      .array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 })
      .map((all) => all.join(","));
    const line = fc.oneof(
      fc
        .tuple(
          fc.constantFrom("", "@revoked ", "@cert-authority ", "@x ", "\t"),
          hosts,
          fc.constantFrom(" ", "\t", "  "),
          fc.constantFrom(keyText(A), keyText(B), "ssh-rsa AAAA", "ssh-ed25519 nonsense", "ssh-ed25519"),
          fc.constantFrom("", "\r", " comment"),
        )
        .map((parts) => parts.join("")),
      fc.constantFrom(hashed("h", A), hashed("[h]:2222", B), "|1|x|y ssh-ed25519 AAAA", "# c", ""),
      fc.constant(`# ${"-".repeat(70_000)}`),
    );
    const file = path();
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 12 }), fc.constantFrom("\n", ""), async (lines, end) => {
        const text = lines.join("\n") + end;
        await writeFile(file, text);
        const { hostKeyFiles } = makeOutside();
        for (const port of [22, 2222]) {
          const name = nameOf("h", port);
          const { hosts: found } = await hostKeyFiles.find([file], name);
          const printed = await hostKeyFiles.findPrinted(file, text, name);
          const all = parseKnownHosts(file, text);
          for (const some of [found, printed]) {
            for (const key of [A, B])
              expect(verdict(some, { ...name, key })).toEqual(verdict(all, { ...name, key }));
            expect(authorities(some, name)).toEqual(authorities(all, name));
            expect(knownAlgorithms(some, name)).toEqual(knownAlgorithms(all, name));
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("are hashed once for each name and line, and not again while the file is the same", async () => {
    const lines = Array.from({ length: 100 }, (_, index) => hashed(`h${index}`, A));
    const file = await written(`${lines.join("\n")}\n`);
    const { hostKeyFiles } = makeOutside(later);
    const name = nameOf("h7", 2222);
    const judge = async () => {
      const { hosts } = await hostKeyFiles.find([file], name);
      authorities(hosts, name);
      knownAlgorithms(hosts, name);
      expect(verdict(hosts, { ...name, key: A }).kind).toBe("known");
    };
    expect(await hashes(judge)).toBe(200);
    expect(await hashes(judge)).toBe(0);
    await writeFile(file, `${[...lines, `@revoked * ${keyText(A)}`].join("\n")}\n`);
    const { hosts } = await hostKeyFiles.find([file], name);
    expect(verdict(hosts, { ...name, key: A }).kind).toBe("revoked");
  });

  it("are gone through again where the file was written just now: its times may not show the next change", async () => {
    const file = await written(`${hashed("h", A)}\n`);
    const { hostKeyFiles } = makeOutside();
    const find = async () => void (await hostKeyFiles.find([file], nameOf("h")));
    expect([await hashes(find), await hashes(find)]).toEqual([1, 1]);
  });

  it("are gone through once for all hosts that come at the same time", async () => {
    const file = await written(`${keyText(A)}\nh1,h2 ${keyText(A)}\nh3 ${keyText(B)}\n`);
    const { files, hostKeyFiles } = makeOutside();
    let openings = 0;
    const use = files.use.bind(files);
    files.use = (...args) => (openings++, use(...args));
    const names = Array.from({ length: 50 }, (_, index) => `h${index}`);
    const found = await Promise.all(names.map((host) => hostKeyFiles.find([file], nameOf(host))));
    expect(found.map(({ hosts }) => hosts.length).slice(0, 5)).toEqual([0, 1, 1, 1, 0]);
    expect(openings).toBeLessThanOrEqual(2);
  });

  it("that are no regular file, too large, or have no end to a line, refuse every key, and are named", async () => {
    const fifo = path();
    execFileSync("mkfifo", [fifo]);
    const huge = await written(`h ${keyText(A)}\n`);
    await truncate(huge, 1 << 30);
    const long = await written(`h ${keyText(A)}\n${"x".repeat(1 << 20)}\n@revoked * ${keyText(A)}\n`);
    const many = await written(`h ${keyText(A)}\n`.repeat(1001) + `@revoked * ${keyText(A)}\n`);
    const { hostKeyFiles } = makeOutside();
    for (const [file, why] of [
      [fifo, "it is a FIFO, not a regular file"],
      ["/dev/zero", "it is a device, not a regular file"],
      [huge, "it is larger than 64 MiB"],
      [long, "its line 2 is longer than 128 KiB"],
      [many, "more than 1000 of its lines are for the name h"],
    ] as const)
      await expect(hostKeyFiles.find([file], nameOf("h"))).rejects.toMatchObject({
        code: "HOST_CONFIG_FAILED",
        message: `no host key is taken while known hosts cannot be read whole: ${file}: ${why}`,
      });
    expect(await hostKeyFiles.find(["/dev/null"], nameOf("h"))).toEqual({ hosts: [], problems: [] });
  });
});
