// A disk on which flushes fail (fsync(2), EIO): what was reported as not saved is not there afterwards, or it is said.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../support/eventually.ts";
import { startHome } from "../support/home.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";

// Fails the system calls that the file names, one a line: `dir` flushes of directories, `write` appends (after they have
// reached the file), `cut` what would cut a file back, `rename` renames to state.json.
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>
static int fails(const char *what) {
  char line[32]; int found = 0; const char *path = getenv("FAULTS"); FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return 0;
  while (fgets(line, sizeof line, file)) if (!strncmp(line, what, strlen(what))) found = 1;
  fclose(file);
  if (found) errno = EIO;
  return found;
}
int fsync(int fd) {
  struct stat s; if (!fstat(fd, &s) && S_ISDIR(s.st_mode) && fails("dir")) return -1;
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
ssize_t write(int fd, const void *data, size_t size) {
  ssize_t done = ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, data, size);
  if (done > 0 && (fcntl(fd, F_GETFL) & O_DSYNC) && fails("write")) return -1;
  return done;
}
int ftruncate(int fd, off_t size) {
  if (fails("cut")) return -1;
  return ((int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate"))(fd, size);
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int rename(const char *from, const char *to) {
  if (strstr(from, ".before") && fails("rename")) return -1;
  return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}
`;
const isCompiler = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0;
if (!isCompiler)
  console.log("skipped: flushes that fail need Linux and cc, to put a library before the system's");

let place: TempDir;
let sshd: Sshd;

beforeAll(async () => {
  if (!isCompiler) return;
  place = await tempDir();
  sshd = await startSshd();
  await Promise.all(["a", "b", "c"].map((name) => sshd.addHost(name)));
  const [source, shim] = [join(place.path, "shim.c"), join(place.path, "shim.so")];
  writeFileSync(source, SHIM);
  const { stderr, status } = spawnSync("cc", ["-shared", "-fPIC", "-o", shim, source, "-ldl"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return async () => {
    await sshd.stop();
    await place.remove();
  };
});

describe.skipIf(!isCompiler)("a state that could not be saved", () => {
  async function start() {
    const faults = join(place.path, "faults");
    rmSync(faults, { force: true });
    onTestFinished(() => rmSync(faults, { force: true }));
    const env = { TUND_SSH_CONFIG: sshd.sshConfig };
    const home = await startHome(env);
    const tund = await home.start({ LD_PRELOAD: join(place.path, "shim.so"), FAULTS: faults });
    const fail = (...what: string[]) => writeFileSync(faults, what.map((each) => `${each}\n`).join(""));
    const connect = (host: string) => tund.tunctl(["connect", host], { env: { LD_PRELOAD: "" } });
    const kept = () => home.saved().hosts.map(({ host }) => host);
    return { home, tund, fail, connect, kept };
  }

  it.each([
    ["an append that fails", ["a"], ["write"]],
    ["a replacement whose place cannot be flushed", [], ["dir"]],
  ] as const)("is not on disk afterwards, whoever reads it: %s", async (_, before, faults) => {
    const { home, tund, fail, connect, kept } = await start();
    for (const host of before) expect(await connect(host)).toMatchObject({ code: 0 });
    fail(...faults);
    const { code, stderr } = await connect("b");
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^tunctl: cannot save .*: EIO.*; nothing was changed\n$/) as string,
    });
    const directory = dirname(home.state);
    expect(readdirSync(directory).filter((name) => !/^(lock|state\.json)$/.test(name))).toEqual([]);
    expect(existsSync(home.state) ? kept() : []).toEqual(before);
    // What is told to be there after a crash right then is what was acknowledged.
    await tund.stop("SIGKILL");
    const next = await home.start();
    expect((await next.masters()).map(({ host }) => host)).toEqual(before);
  });

  it("takes the place of none when a file that is replaced cannot be flushed", async () => {
    const { home, fail, connect, kept } = await start();
    expect(await connect("a")).toMatchObject({ code: 0 });
    writeFileSync(home.state, readFileSync(home.state, "utf8").trimEnd()); // changed by hand: it is replaced next
    fail("dir");
    expect(await connect("b")).toMatchObject({ code: 1 });
    expect(kept()).toEqual(["a"]);
    fail();
    expect(await connect("c")).toMatchObject({ code: 0 });
    expect(kept()).toEqual(["a", "c"]);
  });

  it.each([
    ["cut back", ["write", "cut"]],
    ["put back", ["dir", "rename"]],
  ] as const)(
    "and may be there, since it cannot be %s, is said to be, and is gone with the next write",
    async (what, faults) => {
      const { home, fail, connect, kept } = await start();
      expect(await connect("a")).toMatchObject({ code: 0 });
      if (what === "put back") writeFileSync(home.state, readFileSync(home.state, "utf8").trimEnd());
      fail(...faults);
      expect((await connect("b")).stderr).toMatch(
        /; nothing was changed, but the file may say so until the next change\n$/,
      );
      // The command is taken back, and what is written for that, though it fails too, is the last state in the file.
      await eventually(() => expect(kept()).toEqual(["a"]));
      fail();
      expect(await connect("c")).toMatchObject({ code: 0 });
      expect(kept()).toEqual(["a", "c"]);
    },
  );
});
