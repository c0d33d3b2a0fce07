// Long work in slices: every line, and every pattern of a long one, is where the event loop may have its turn.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { goThrough } from "../../daemon/lines.ts";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SLICE_MS, Turns } from "../../daemon/turns.ts";
import { systemClock } from "../../shared/clock.ts";
import { manualClock } from "../support/clock.ts";
import { HostKeyFiles } from "../../daemon/ssh/host-key-files.ts";
import { fieldsOf } from "../../daemon/ssh/known-hosts.ts";
import { LineMatcher } from "../../daemon/ssh/known-hosts-match.ts";
import { keyBlob, keyText } from "../support/key-blob.ts";
import { makeOutside } from "../support/outside.ts";
import { tempDir } from "../support/temp-dir.ts";

/** Slices that are over at once, and counted. */
class Short extends Turns {
  count = 0;

  constructor() {
    super(systemClock);
  }

  override get isOver(): boolean {
    return true;
  }

  override next(): Promise<void> {
    this.count++;
    return super.next();
  }
}

const key = keyText(keyBlob("ssh-ed25519", "a"));

describe("long work", () => {
  /** Turns of the event loop by a test's clock, and what is worked in each of them, in milliseconds. */
  function setUp() {
    const clock = manualClock();
    const slices = new Turns(clock);
    const worked: number[] = [0];
    const tick = () => void (worked.push(0), (next = setImmediate(tick)));
    let next = setImmediate(tick);
    onTestFinished(() => clearImmediate(next));
    /** Something that takes so many milliseconds, in steps of one. */
    const work = async (ms: number): Promise<number> => {
      for (let done = 0; done < ms; done++) {
        if (slices.isOver) await slices.next();
        clock.advance(1);
        worked.push((worked.pop() ?? 0) + 1);
      }
      return worked.length;
    };
    return { slices, worked, work };
  }

  it("has one slice a turn of the event loop, however many have some, and whenever they begin", async () => {
    const { worked, work } = setUp();
    const all = Array.from({ length: 20 }, () => work(10));
    await nextTurn();
    await Promise.all([...all, work(10), work(10)]);
    expect(Math.max(...worked)).toBe(SLICE_MS);
    expect(worked.reduce((sum, ms) => sum + ms)).toBe(220);
    // What has time left in its slice leaves it to the next, so none is wasted.
    expect(worked.length).toBeLessThan(90);
  });

  it("is begun at once when nobody else works, and goes on in the next turn", async () => {
    const { worked, work } = setUp();
    const begun = work(6);
    expect(worked).toEqual([SLICE_MS]);
    await begun;
    expect(worked.slice(0, 2)).toEqual([SLICE_MS, 6 - SLICE_MS]);
  });

  it("lets what is short be done before what is long, whichever came first", async () => {
    const { worked, work } = setUp();
    const long = Array.from({ length: 5 }, () => work(1000));
    await nextTurn();
    const began = worked.length;
    // Two slices, behind five others each.
    expect((await work(2 * SLICE_MS)) - began).toBeLessThan(15);
    await Promise.all(long);
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

  it("may be interrupted at each line that a program has printed", async () => {
    const slices = new Short();
    const all = new HostKeyFiles({ ...makeOutside(), slices, clock: systemClock });
    const printed = `${"\n".repeat(500)}${"x y z\n".repeat(500)}a ${key}\n`;
    const found = await all.findPrinted("it", printed, { host: "a", port: 22, hostKeyAlias: null });
    expect(found).toMatchObject([{ file: "it", line: 1001, hosts: "a" }]);
    expect(slices.count).toBe(1001);
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
