// shared/forward-spec.ts against ssh itself: `ssh -G` reads forwards, refuses bad ones, and prints what it understood.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TundError } from "../../shared/errors.ts";
import { type ForwardKind, type ForwardSpec, parseForwardSpec } from "../../shared/forward-spec.ts";
import { run } from "../support/run.ts";

const flags: Record<ForwardKind, string> = { local: "-L", remote: "-R", dynamic: "-D" };

const ssh = await run("ssh", ["-V"]).catch(() => null);
const reason = ssh === null ? "skipped: there is no ssh on PATH" : ssh.stderr.trim();

/** What ssh prints of these forwards, a line each, as often as it finds them different; or why it refuses them. */
async function sshReads(kind: ForwardKind, specs: readonly string[]): Promise<string[] | string> {
  const args = specs.flatMap((spec) => [flags[kind], spec]);
  const { code, stdout, stderr } = await run("ssh", ["-T", "-G", "-F", "none", ...args, "x"]);
  if (code !== 0) return stderr;
  const prefix = `${kind}forward `;
  const lines = stdout.split("\n").filter((line) => line.startsWith(prefix));
  // No bind address and `*` are the same (2.2); it prints the one as [].
  return [...new Set(lines.map((line) => line.slice(prefix.length).replace(/^\[\]/, "[*]")))];
}

/** What ssh -G would print for this. */
function asPrinted({ kind, bind, destination }: ForwardSpec): string {
  const from =
    "path" in bind ? bind.path : bind.address === null ? `${bind.port}` : `[${bind.address}]:${bind.port}`;
  if (kind === "dynamic") return from;
  if (destination === null) return `${from} [socks]:0`;
  return `${from} ${"path" in destination ? destination.path : `[${destination.host}]:${destination.port}`}`;
}

function parse(kind: ForwardKind, text: string): ForwardSpec | string {
  try {
    return parseForwardSpec(kind, text);
  } catch (error) {
    if (error instanceof TundError) return error.message;
    throw error;
  }
}

/**
 * What ssh takes and we do not, since nobody can have meant it. The reason that we give → specs that ssh takes.
 * Left out of all of this: `${VARIABLE}` and, in paths, `%h` and the like, which ssh expands and we take as they are.
 */
const refusedOnPurpose: [reason: RegExp, kind: ForwardKind, specs: string[]][] = [
  [/the destination host is empty/, "local", ["8080::80", "8080:[]:80", "/run/x::80"]],
  [/is a path where a host belongs/, "local", ["8080:/run/x:80", "a:8080:/run/x:80", "/run/x:/run/y:80"]],
  [/is a path where a bind address belongs/, "local", ["/run/x:8080:db:80"]],
  [/is a path where a bind address belongs/, "remote", ["/run/x:8080"]],
  [/has no spaces or control characters/, "local", ["8080:d b:80", "8080:\tdb:80", "l o:8080:db:80"]],
  [/has no spaces or control characters/, "dynamic", ["l o:8080"]],
  // strtonum(3) takes these for numbers.
  [/port '[ +-][0-9]+' is not a number/, "local", ["+8080:db:80", "8080:db: 80", "8080:db:+80"]],
  [/port '[ +-][0-9]+' is not a number/, "remote", ["-0:db:80"]],
  // A lone backslash at the very end is dropped by ssh.
  [/it ends with a backslash/, "local", ["8080:db:80:\\"]],
  // ssh makes a local forward of these.
  [/is not a number|is a path where a bind address belongs/, "dynamic", ["8080:/run/x", "/run/x:/run/y"]],
];

// Listen ports from 1024 on: the lower ones are root's.
const number = fc.constantFrom(
  "1024",
  "8080",
  "65535",
  "65535",
  "0",
  "65536",
  "x",
  "",
  "08080",
  "[8080]",
  "-1",
);
const host = fc.constantFrom(
  "a",
  "127.0.0.1",
  "[::1]",
  "::1",
  "*",
  "",
  "[]",
  "a b",
  "[a",
  "a]",
  "\\:\\:1",
  "a\\/b",
  "\\",
);
const path = fc.constantFrom(
  "/x",
  "./x",
  "a/b",
  "[/a:b]",
  "/a\\:b",
  "/",
  "[/x]y",
  "/a b",
  `/${"p".repeat(107)}`,
);
const field = fc.oneof({ weight: 3, arbitrary: number }, { weight: 3, arbitrary: host }, path);
const shape = (...fields: fc.Arbitrary<string>[]) => fc.tuple(...fields).map((list) => list.join(":"));
const trailing = fc.oneof({ weight: 9, arbitrary: fc.constant("") }, fc.constantFrom(":", "::", "\\", ":x"));
const leading = fc.oneof({ weight: 9, arbitrary: fc.constant("") }, fc.constantFrom(" ", "\t", ":", "\\"));
const spec = fc
  .tuple(
    leading,
    fc.oneof(
      shape(number, host, number),
      shape(host, number, host, number),
      shape(number, path),
      shape(host, number, path),
      shape(path, host, number),
      shape(path, path),
      shape(number),
      shape(host, number),
      shape(path),
      fc.array(field, { maxLength: 5 }).map((list) => list.join(":")),
    ),
    trailing,
  )
  .map((parts) => parts.join(""))
  .filter((text) => text !== "");

describe.skipIf(ssh === null)(`ssh -G agrees (${reason})`, () => {
  const samples = fc.sample(spec, { numRuns: 250, seed: 1 });

  test.each<ForwardKind>(["local", "remote", "dynamic"])("on what %s forwards mean", async (kind) => {
    const ours = [...new Set(samples)].map((text) => ({ text, read: parse(kind, text) }));
    const accepted = ours.flatMap(({ text, read }) => (typeof read === "string" ? [] : [{ text, read }]));
    expect(accepted.length).toBeGreaterThan(10);
    expect(
      await sshReads(
        kind,
        accepted.map(({ text }) => text),
      ),
    ).toEqual([...new Set(accepted.map(({ read }) => asPrinted(read)))]);
  });

  test.each<ForwardKind>(["local", "remote", "dynamic"])("on which %s forwards are none", async (kind) => {
    const refused = [...new Set(samples)].flatMap((text) => {
      const read = parse(kind, text);
      return typeof read === "string" ? [{ text, why: read }] : [];
    });
    const onPurpose = refusedOnPurpose.map(([why]) => why);
    const unexplained = refused.filter(
      ({ why }) => !onPurpose.some((one) => one.test(why.slice(why.lastIndexOf("': ")))),
    );
    expect(unexplained.length).toBeGreaterThan(20);
    const verdicts = await Promise.all(
      unexplained.map(async ({ text }) => ({ text, ssh: await sshReads(kind, [text]) })),
    );
    expect(verdicts.filter((one) => typeof one.ssh !== "string")).toEqual([]);
  });

  test.each(refusedOnPurpose)("except where we say %s for %s %j", async (why, kind, specs) => {
    for (const text of specs) {
      expect(parse(kind, text)).toMatch(why);
      expect(await sshReads(kind, [text])).toHaveLength(1);
    }
  });
});
