import { chmodSync, lchownSync, mkdirSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { claimDirectory, NotOwnDirectory } from "../../shared/own-directory.ts";
import { statePlace } from "../../shared/places.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";

const SOMEBODY = 65_534;
const isRoot = process.getuid?.() === 0;
if (!isRoot)
  console.log("skipped: a link of somebody else's in a shared directory, since only root can make it");

describe("claimDirectory()", () => {
  let directory: TempDir;
  beforeEach(async () => void (directory = await tempDir()));
  afterEach(() => directory.remove());
  const at = (path: string) => join(directory.path, path);
  const claim = (path: string) => claimDirectory(at(path), statePlace, () => undefined);

  it("makes what is missing, for us alone", async () => {
    await claim("a/b");
    expect([at("a"), at("a/b")].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700]);
  });

  it.skipIf(!isRoot)("makes nothing behind a link that somebody puts there meanwhile", async () => {
    for (const path of ["shared", "elsewhere"]) mkdirSync(at(path));
    chmodSync(at("shared"), 0o1777);
    const claiming = claim("shared/a/b");
    symlinkSync(at("elsewhere"), at("shared/a"));
    lchownSync(at("shared/a"), SOMEBODY, SOMEBODY);
    await expect(claiming).rejects.toThrow(NotOwnDirectory);
    expect(readdirSync(at("elsewhere"))).toEqual([]);
  });
});
