// Where what lives for a moment may lie: not where somebody else could take it away.
import { chmodSync, chownSync, readdirSync, statSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { temporaryDirectory } from "../../daemon/temporary.ts";
import { tempDir } from "../support/temp-dir.ts";

const OTHER = 54_321;

async function madeIn(place: string): Promise<string> {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = place;
  try {
    return await temporaryDirectory("tund-test-");
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
}

async function shared(owner: number, mode: number): Promise<string> {
  const place = await tempDir();
  onTestFinished(() => place.remove());
  chmodSync(place.path, mode);
  if (owner !== process.getuid?.()) chownSync(place.path, owner, owner);
  return place.path;
}

describe("a temporary directory", () => {
  it("is made in TMPDIR, for its user alone", async () => {
    const place = await shared(process.getuid?.() ?? 0, 0o1777);
    const made = await madeIn(place);
    onTestFinished(() => rmdir(made));
    expect([dirname(made), statSync(made).mode & 0o7777]).toEqual([place, 0o700]);
  });

  it.each([
    ["of ours in which others can write", process.getuid?.() ?? 0, 0o777],
    ["of somebody else", OTHER, 0o777],
  ])("is not made in one %s, and nothing is left there", async (what, owner, mode) => {
    if (owner === OTHER && process.getuid?.() !== 0)
      return console.log(`skipped: a TMPDIR ${what}, which only root can make`);
    const place = await shared(owner, mode);
    const made = await madeIn(place);
    onTestFinished(() => rmdir(made));
    expect(dirname(made)).toBe(tmpdir());
    expect(readdirSync(place)).toEqual([]);
    return undefined;
  });
});
