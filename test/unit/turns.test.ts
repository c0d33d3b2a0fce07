// Long work in slices: every line, and every pattern of a long one, is where the event loop may have its turn.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { goThrough } from "../../daemon/lines.ts";
import { Turns } from "../../daemon/turns.ts";
import { fieldsOf } from "../../daemon/ssh/known-hosts.ts";
import { LineMatcher } from "../../daemon/ssh/known-hosts-match.ts";
import { keyBlob, keyText } from "../support/key-blob.ts";
import { makeOutside } from "../support/outside.ts";
import { tempDir } from "../support/temp-dir.ts";

/** Slices that are over at once, and counted. */
class Short extends Turns {
  count = 0;

  override get isOver(): boolean {
    return true;
  }

  override next(): Promise<void> {
    this.count++;
    return super.next();
  }
}

const key = keyText(keyBlob("ssh-ed25519", "a"));

describe("work in slices", () => {
  it("has one slice a turn of the event loop, however many wait for one", async () => {
    const slices = new Turns();
    let turn = 0;
    const tick = () => void (turn++, (next = setImmediate(tick)));
    let next = setImmediate(tick);
    onTestFinished(() => clearImmediate(next));
    const turns: number[] = [];
    const work = async () => {
      for (let index = 0; index < 5; index++) {
        await slices.next();
        turns.push(turn);
      }
    };
    await Promise.all([work(), work(), work()]);
    expect(new Set(turns).size).toBe(15);
  });

  it("may be interrupted at each line of a file", async () => {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const path = join(directory.path, "lines");
    await writeFile(path, "line\n".repeat(500));
    const slices = new Short();
    let lines = 0;
    await makeOutside().files.use(path, (file) => goThrough(file, slices, () => void lines++));
    expect(lines).toBe(501);
    expect(slices.count).toBeGreaterThanOrEqual(500);
  });

  it("may be interrupted at each pattern of a long line, which means the same", async () => {
    const slices = new Short();
    const matcher = new LineMatcher(["name a", "name b"], slices);
    const patterns = `${"*x,".repeat(1000)}a`;
    const matched = async (hosts: string) => matcher.matched(fieldsOf(`${hosts} ${key}`)!);
    expect(await matched(patterns)).toEqual(["name a"]);
    expect(slices.count).toBe(2002);
    expect(await matched(`${patterns},*,!b`)).toEqual(["name a"]);
    expect(await matched(`${patterns},b,!?`)).toEqual([]);
  });
});
