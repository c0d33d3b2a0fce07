import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { displayType, fingerprint, keyType, keyTypeOf } from "../../daemon/ssh/host-key.ts";
import { lookupName, parseKnownHosts } from "../../daemon/ssh/known-hosts.ts";
import { knownAlgorithms, preferKnown, type Verdict, verdict } from "../../daemon/ssh/known-hosts-verdict.ts";
import { keyBlob, keyText } from "../support/key-blob.ts";

const A = keyBlob("ssh-ed25519", "a");
const B = keyBlob("ssh-ed25519", "b");
const R = keyBlob("ssh-rsa", "r");

interface Asked {
  host: string;
  port?: number;
  alias?: string;
  key?: Buffer;
}

const judge = (text: string, { host, port = 22, alias, key = A }: Asked): Verdict["kind"] =>
  verdict(parseKnownHosts("kh", text), { host, port, hostKeyAlias: alias ?? null, key }).kind;

describe("the verdict on a host key", () => {
  test.each<[string, string, Asked, Verdict["kind"]]>([
    ["an empty file knows nobody", "", { host: "h" }, "unknown"],
    ["the same key is known", `h ${keyText(A)}`, { host: "h" }, "known"],
    ["a comment may follow the key", `h ${keyText(A)} me@there # x`, { host: "h" }, "known"],
    [
      "tabs and several spaces separate",
      `\t h \t${keyText(A).replace(" ", " \t ")}\t`,
      { host: "h" },
      "known",
    ],
    ["CR LF ends lines too", `# x\r\nh ${keyText(A)}\r\nz ${keyText(B)}\r\n`, { host: "h" }, "known"],
    ["the last line needs no end", `z ${keyText(B)}\nh ${keyText(A)}`, { host: "h" }, "known"],
    ["another key of the same type is a changed one", `h ${keyText(B)}`, { host: "h" }, "changed"],
    ["another key of another type is a changed one", `h ${keyText(R)}`, { host: "h" }, "changed"],
    ["any match will do", `h ${keyText(B)}\nh ${keyText(R)}\nh ${keyText(A)}`, { host: "h" }, "known"],
    ["host names have no case, in the file", `H.Example ${keyText(A)}`, { host: "h.example" }, "known"],
    ["host names have no case, when asked", `h.example ${keyText(A)}`, { host: "H.EXAMPLE" }, "known"],
    ["one of several names", `x,h,10.0.0.1 ${keyText(A)}`, { host: "h" }, "known"],
    ["empty names name nobody", `,, ${keyText(A)}`, { host: "h" }, "unknown"],
    ["* is any number of characters", `*.example.* ${keyText(A)}`, { host: "db.example.com" }, "known"],
    ["* can be none", `h* ${keyText(A)}`, { host: "h" }, "known"],
    ["? is one character", `h? ${keyText(A)}`, { host: "h1" }, "known"],
    ["? is not none", `h? ${keyText(A)}`, { host: "h" }, "unknown"],
    ["stars find the right place again", `*ab*ab?c ${keyText(A)}`, { host: "xabxabxababxc" }, "known"],
    ["a dot is a dot", `h.x ${keyText(A)}`, { host: "hax" }, "unknown"],
    ["! takes out", `*,!h ${keyText(A)}`, { host: "h" }, "unknown"],
    ["! takes out, wherever it stands", `!h,* ${keyText(A)}`, { host: "h" }, "unknown"],
    ["! takes out no others", `*,!h ${keyText(A)}`, { host: "g" }, "known"],
    ["! alone names nobody", `!h ${keyText(A)}`, { host: "g" }, "unknown"],
    ["! takes out of its own line alone", `*,!h ${keyText(B)}\nh ${keyText(A)}`, { host: "h" }, "known"],
    [
      "a port other than 22 is part of the name",
      `[h]:2222 ${keyText(A)}`,
      { host: "h", port: 2222 },
      "known",
    ],
    ["another port is another host", `[h]:2222 ${keyText(A)}`, { host: "h", port: 2223 }, "unknown"],
    ["port 22 is not written", `[h]:22 ${keyText(A)}`, { host: "h" }, "unknown"],
    ["an IPv6 address with a port", `[::1]:2222 ${keyText(A)}`, { host: "::1", port: 2222 }, "known"],
    ["an IPv6 address alone", `::1 ${keyText(A)}`, { host: "::1" }, "known"],
    ["a pattern for ports", `[h]:* ${keyText(A)}`, { host: "h", port: 2222 }, "known"],
    ["* alone is every port too", `* ${keyText(A)}`, { host: "h", port: 2222 }, "known"],
    ["a new port is vouched for by the bare host", `h ${keyText(A)}`, { host: "h", port: 2222 }, "known"],
    ["... which says nothing against other keys", `h ${keyText(B)}`, { host: "h", port: 2222 }, "unknown"],
    [
      "... and is not asked when the port has a key",
      `[h]:2222 ${keyText(B)}\nh ${keyText(A)}`,
      { host: "h", port: 2222 },
      "changed",
    ],
    [
      "... but its revoked keys stay revoked",
      `@revoked h ${keyText(A)}`,
      { host: "h", port: 2222 },
      "revoked",
    ],
    ["an alias replaces host and port", `al ${keyText(A)}`, { host: "h", port: 2222, alias: "al" }, "known"],
    ["an alias has no case", `al ${keyText(A)}`, { host: "h", alias: "AL" }, "known"],
    [
      "an alias never falls back to the host",
      `h ${keyText(A)}`,
      { host: "h", port: 2222, alias: "al" },
      "unknown",
    ],
    [
      "an alias that looks like a host with a port",
      `[h]:5 ${keyText(A)}`,
      { host: "h", alias: "[h]:5" },
      "known",
    ],
    ["a revoked key", `@revoked h ${keyText(A)}`, { host: "h" }, "revoked"],
    [
      "a revoked key that is known as well",
      `h ${keyText(A)}\n@revoked * ${keyText(A)}`,
      { host: "h" },
      "revoked",
    ],
    ["a key that is revoked for others", `h ${keyText(A)}\n@revoked g ${keyText(A)}`, { host: "h" }, "known"],
    ["a revoked key is no known one", `@revoked h ${keyText(B)}`, { host: "h" }, "unknown"],
    ["an authority's key is no host's", `@cert-authority h ${keyText(A)}`, { host: "h" }, "unknown"],
    ["an authority's key changes nobody", `@cert-authority * ${keyText(B)}`, { host: "h" }, "unknown"],
    ["an unknown marker makes no sense", `@trusted h ${keyText(A)}`, { host: "h" }, "unknown"],
    ["two markers make no sense", `@revoked @revoked h ${keyText(A)}`, { host: "h" }, "unknown"],
    ["a comment is no host", `#h ${keyText(A)}`, { host: "h" }, "unknown"],
    ["no key", "h", { host: "h" }, "unknown"],
    ["no base64", "h ssh-ed25519", { host: "h" }, "unknown"],
    ["broken base64", `h ssh-ed25519 ${A.toString("base64")}!`, { host: "h" }, "unknown"],
    ["the wrong type", `h ssh-rsa ${A.toString("base64")}`, { host: "h" }, "unknown"],
    ["a protocol 1 key", "h 1024 35 1234567890", { host: "h" }, "unknown"],
    ["an RSA key by its algorithm", `h rsa-sha2-256 ${R.toString("base64")}`, { host: "h", key: R }, "known"],
    ["a hashed name that is none", `|1|x|y ${keyText(A)}`, { host: "h" }, "unknown"],
    ["a very long line", `${"x,".repeat(200_000)}h ${keyText(A)}`, { host: "h" }, "known"],
    ["a line full of stars", `${"*a".repeat(5000)} ${keyText(A)}`, { host: "a".repeat(200) }, "unknown"],
  ])("%s", (_, text, asked, kind) => {
    expect(judge(text, asked)).toBe(kind);
  });

  test("it says which file and line it rests on", () => {
    const known = [
      ...parseKnownHosts("one", `\n# c\nh ${keyText(R)}`),
      ...parseKnownHosts("two", `h ${keyText(B)}`),
    ];
    const name = { host: "h", port: 22, hostKeyAlias: null };
    expect(verdict(known, { ...name, key: R })).toEqual({ kind: "known", file: "one", line: 3 });
    // Of the keys that are there instead, one of the same type says more.
    expect(verdict(known, { ...name, key: A })).toEqual({ kind: "changed", file: "two", line: 1 });
  });

  test("a name in any case, and a star for any part of it, are found (property)", () => {
    const name = fc.stringMatching(/^[a-z0-9.-]{1,20}$/);
    fc.assert(
      fc.property(name, fc.nat(20), fc.nat(20), (host, from, length) => {
        const starred = `${host.slice(0, from)}*${host.slice(from + length)}`;
        expect(judge(`${starred.toUpperCase()} ${keyText(A)}`, { host })).toBe("known");
      }),
    );
  });

  test("no bytes make it throw (property)", () => {
    const words = fc.constantFrom(
      "h",
      "|1|",
      "@revoked",
      "@",
      "!",
      "*",
      ",",
      " ",
      "\t",
      "\n",
      "\r",
      "\0",
      "ssh-rsa",
      keyText(A),
    );
    const text = fc.oneof(
      fc.array(words, { maxLength: 12 }).map((list) => list.join("")),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString()),
    );
    fc.assert(
      fc.property(
        text,
        fc.string(),
        fc.uint8Array({ maxLength: 60 }),
        fc.nat(65_535),
        (file, host, bytes, port) => {
          const key = Buffer.from(bytes);
          const known = parseKnownHosts("kh", file);
          expect(["known", "unknown", "changed", "revoked"]).toContain(
            verdict(known, { host, port, hostKeyAlias: null, key }).kind,
          );
          knownAlgorithms(known, { host, port, hostKeyAlias: null });
          expect(displayType(key)).toMatch(/^[!-~]+$/);
          expect(fingerprint(key)).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
        },
      ),
    );
  });
});

describe("names and key types", () => {
  test("the lookup name has the port unless it is 22", () => {
    expect(lookupName("Db.Example", 22)).toBe("db.example");
    expect(lookupName("Db.Example", 2222)).toBe("[db.example]:2222");
    expect(lookupName("FE80::1%eth0", 2222)).toBe("[fe80::1%eth0]:2222");
  });

  test("the type of a key is its first field, if that is a name", () => {
    expect(keyType(A)).toBe("ssh-ed25519");
    expect(displayType(A)).toBe("ED25519");
    expect(displayType(R)).toBe("RSA");
    expect(displayType(keyBlob("ssh-new@example.com", ""))).toBe("ssh-new@example.com");
    expect(keyType(Buffer.alloc(0))).toBeNull();
    expect(keyType(Buffer.from([0, 0, 0, 9, 0x61]))).toBeNull();
    expect(keyType(Buffer.from([255, 255, 255, 255, 0x61]))).toBeNull();
    expect(displayType(keyBlob("\u001b[31mred", ""))).toBe("unknown");
    expect(displayType(keyBlob("a,b", ""))).toBe("unknown");
    expect(displayType(keyBlob("", ""))).toBe("unknown");
  });

  test("known key types are those of plain lines that name the host", () => {
    const text = [
      `[h]:2222 ${keyText(A)}`,
      `@revoked [h]:2222 ${keyText(R)}`,
      `@cert-authority * ${keyText(R)}`,
      `h ${keyText(R)}`,
      `al ${keyText(R)}`,
    ].join("\n");
    const types = (port: number, hostKeyAlias: string | null = null) => [
      ...knownAlgorithms(parseKnownHosts("kh", text), { host: "H", port, hostKeyAlias }).types,
    ];
    expect(types(2222)).toEqual(["ssh-ed25519"]);
    expect(types(22)).toEqual(["ssh-rsa"]);
    expect(types(22, "al")).toEqual(["ssh-rsa"]);
    expect(types(23)).toEqual([]);
  });

  test("algorithms of known keys go first, and otherwise keep their order", () => {
    const all = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"];
    const preferred = (algorithms: string[], types: string[], isCertified = false) =>
      preferKnown(algorithms, { types: new Set(types), isCertified });
    expect(preferred(all, [])).toEqual(all);
    expect(preferred(all, ["ssh-ed25519"])).toEqual(all);
    const certified = ["ssh-ed25519", "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-512"];
    expect(preferred(certified, ["ssh-rsa"])).toEqual([...certified.slice(1), "ssh-ed25519"]);
    expect(preferred(certified, [], true)).toEqual([certified[1], "ssh-ed25519", "rsa-sha2-512"]);
    expect(preferred(all, ["ssh-rsa", "ecdsa-sha2-nistp384"])).toEqual([
      "rsa-sha2-512",
      "rsa-sha2-256",
      "ssh-rsa",
      "ssh-ed25519",
      "ecdsa-sha2-nistp256",
    ]);
    expect(all.map(keyTypeOf)).toEqual([
      "ssh-ed25519",
      "ecdsa-sha2-nistp256",
      "ssh-rsa",
      "ssh-rsa",
      "ssh-rsa",
    ]);
  });
});
