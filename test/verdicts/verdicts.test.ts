// The verdict on a host key, beside the real ssh: every case of cases.ts. Where tund differs, it is stricter, and the case is
// in stricter.json, and in docs/host-keys.md; `npm run verdicts` writes both.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTund, type Tund } from "../support/daemon.ts";
import { type Case, titleOf } from "./axes.ts";
import { cases } from "./cases.ts";
import { makeMaterials, type Materials } from "./materials.ts";
import { reasons } from "./reasons.ts";
import { type Difference, differenceOf, isLooser, sections, type Stricter } from "./table.ts";
import { tryCase, type Tries } from "./trying.ts";

const AT_ONCE = 4;
const ONE_IN_SO_MANY_BY_TUNCTL = 20;
const DEADLINE_MS = 900_000;
const MARK = "<!-- what follows is written by `npm run verdicts` -->";

const data = fileURLToPath(new URL("stricter.json", import.meta.url));
const document = fileURLToPath(new URL("../../docs/host-keys.md", import.meta.url));
const isToBeWritten = process.env["TUND_VERDICTS_WRITE"] === "1";

let materials: Materials;
let tund: Tund;
const tried = new Map<Case, Tries>();
const failures: string[] = [];

beforeAll(async () => {
  materials = await makeMaterials();
  tund = await startTund({ env: { TUND_SSH_CONFIG: materials.sshConfig } });
  const askpass = { yes: await answering("yes"), no: await answering("no") };
  const waiting = [...cases.entries()];
  const started = performance.now();
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [number, one] = next;
      const byTunctl = number % ONE_IN_SO_MANY_BY_TUNCTL === 0;
      await tryCase(one, { number, byTunctl }, { materials, tund, askpass }).then(
        (tries) => void tried.set(one, tries),
        (error: unknown) => void failures.push(`${titleOf(one)}: ${String(error)}`),
      );
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`measured: ${cases.length} verdicts beside ssh in ${seconds} s`);
}, DEADLINE_MS);
afterAll(async () => {
  await tund?.stop();
  await materials?.stop();
});

async function answering(answer: string): Promise<string> {
  const path = join(materials.directory, `askpass-${answer}`);
  await writeFile(path, `#!/bin/sh\necho ${answer}\n`, { mode: 0o700 });
  return path;
}

const reasonFor = (one: Case) => reasons.find(({ holds }) => holds(one));

/** What this run has seen. */
function seen(): Stricter {
  const all = cases.flatMap((one): [string, Difference][] => {
    const tries = tried.get(one);
    const difference = tries === undefined ? null : differenceOf(one, tries);
    return difference === null ? [] : [[reasonFor(one)?.title ?? "nobody knows why", difference]];
  });
  const differences: Stricter["differences"] = {};
  for (const [title, difference] of all) (differences[title] ??= []).push(difference);
  return { ssh: sshVersion(), cases: cases.length, differences };
}

const sshVersion = (): string =>
  /OpenSSH_[\d.]+p\d+/.exec(execFileSync("sh", ["-c", "ssh -V 2>&1"], { encoding: "utf8" }))?.[0] ?? "";

const listed = (): Stricter => JSON.parse(readFileSync(data, "utf8")) as Stricter;

const titles = ({ differences }: Stricter): string[] =>
  Object.values(differences).flatMap((all) => all.map((one) => one.case));

describe(`the verdict on a host key, in ${cases.length} cases`, () => {
  it("is one, by ssh and by tund, in every case", () => {
    expect(failures).toEqual([]);
    expect(tried.size).toBe(cases.length);
    expect(cases.length).toBeGreaterThan(500);
  });

  it("is never looser than ssh's, nor is a key recorded that ssh does not record", () => {
    const looser = [...tried].filter(([one, tries]) => isLooser(tries, reasonFor(one)));
    expect(looser.map(([one, { ssh, tund: ours }]) => ({ case: titleOf(one), ssh, tund: ours }))).toEqual([]);
  });

  it("is stricter in the cases that are listed, and in no others", () => {
    const now = seen();
    if (isToBeWritten) writeFileSync(data, JSON.stringify(now, null, 2));
    const known = listed();
    // Beside another ssh some of them may be the same for both.
    const isOtherSsh = now.ssh !== known.ssh;
    const expected = isOtherSsh
      ? titles(known).filter((title) => titles(now).includes(title))
      : titles(known);
    expect(titles(now)).toEqual(expected);
    expect(isOtherSsh || JSON.stringify(now) === JSON.stringify(known)).toBe(true);
  });

  it("is told in docs/host-keys.md where it is stricter", () => {
    const table = sections(listed(), reasons);
    const [introduction = ""] = readFileSync(document, "utf8").split(MARK);
    if (isToBeWritten) writeFileSync(document, `${introduction}${MARK}\n\n${table}\n`);
    const [, there = ""] = readFileSync(document, "utf8").split(MARK);
    expect(words(there)).toEqual(words(table));
  });

  it("is no end of the daemon, in any of them", async () => {
    const { code, stdout } = await tund.tunctl(["status", "--json"]);
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { daemon: { pid: number } }).daemon.pid).toBe(tund.pid);
  });
});

/** A document without what a formatter changes of it. */
const words = (text: string): string => text.replaceAll(/-{3,}/g, "---").replaceAll(/\s+/g, " ").trim();
