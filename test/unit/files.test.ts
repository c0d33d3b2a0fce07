// Files that many ask for at once: each call has its time, however many are before it.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Files } from "../../daemon/files.ts";
import { manualClock } from "../support/clock.ts";
import { tempDir } from "../support/temp-dir.ts";

it("a file that two hundred ask for at once is read by all, though that takes longer than a call may", async () => {
  const place = await tempDir();
  onTestFinished(() => place.remove());
  const path = join(place.path, "file");
  await writeFile(path, "content");
  const clock = manualClock();
  const files = new Files(clock);
  const readers = Array.from({ length: 200 }, () =>
    files.use(path, async (file) => {
      clock.advance(300); // no call takes longer: one is out at a time
      const into = Buffer.alloc(64);
      return into.toString("utf8", 0, await file.read(into));
    }),
  );
  expect(new Set(await Promise.all(readers))).toEqual(new Set(["content"]));
  expect(files.isBusy).toBe(false);
});
