// What opens identities, with ssh-add programs that do not do as they should, and a clock of the test's.
import { makeOutside } from "../support/outside.ts";
import { appendFileSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { KeyRing } from "../../daemon/ssh/key-ring.ts";
import { WrongPassphrase } from "../../daemon/ssh/private-key.ts";
import { manualClock } from "../support/clock.ts";
import { eventually } from "../support/eventually.ts";
import { makePath, type Scripts } from "../support/path.ts";
import { living } from "../support/process-tree.ts";
import { silent } from "../support/silent-log.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { tempDir } from "../support/temp-dir.ts";

const SECRET = "secret";
const never = new AbortController().signal;

async function makeRing(scripts: Scripts, keys = 1) {
  const directory = await tempDir();
  const path = await makePath(["ssh-add", "ssh-agent"], scripts);
  const clock = manualClock();
  const ring = new KeyRing({
    directory: join(directory.path, "agent"),
    askpass: resolve("daemon/ssh/askpass.sh"),
    parser: resolve("node_modules/ssh2/lib/protocol/keyParser.js"),
    env: { ...process.env, PATH: path.PATH },
    ...makeOutside(),
    clock,
    log: silent,
  });
  onTestFinished(async () => {
    ring.close();
    await path.remove();
    await directory.remove();
  });
  const made: Key[] = [];
  for (let i = 0; i < keys; i++) made.push(await makeKey(join(directory.path, `key${i}`), "ed25519", SECRET));
  const [key] = made;
  if (key === undefined) throw new Error("no key");
  /** what a script has written to a file beside itself */
  const written = (name: string): string[] => {
    appendFileSync(join(path.at, name), "");
    return readFileSync(join(path.at, name), "utf8").split("\n").filter(Boolean);
  };
  return { ring, clock, key, keys: made, written };
}

describe("an ssh-add that hangs", () => {
  const HANGS = 'echo $$ >> "$0.pids"\nsleep 1000';

  it("is killed at its deadline, with what it started, and the file is named", async () => {
    const { ring, clock, key, written } = await makeRing({ "ssh-add": HANGS });
    const opening = ring.open(key, SECRET, never);
    const failed = expect(opening).rejects.toThrow(`ssh-add for ${key.path}: no answer in 60 s`);
    await eventually(() => expect(written("ssh-add.pids")).toHaveLength(1));
    clock.advance(60_000);
    await failed;
    const pids = written("ssh-add.pids").map(Number);
    await eventually(() => expect(living(pids)).toEqual([]));
  });

  it("is killed when its login is over", async () => {
    const { ring, key, written } = await makeRing({ "ssh-add": HANGS });
    const over = new AbortController();
    const failed = expect(ring.open(key, SECRET, over.signal)).rejects.toThrow("nobody waits for it");
    await eventually(() => expect(written("ssh-add.pids")).toHaveLength(1));
    over.abort();
    await failed;
    await eventually(() => expect(living(written("ssh-add.pids").map(Number))).toEqual([]));
  });

  it("holds one of four places, and the others wait for theirs", async () => {
    const { ring, clock, keys, written } = await makeRing({ "ssh-add": HANGS }, 6);
    const all = Promise.allSettled(keys.map((key) => ring.open(key, SECRET, never)));
    await eventually(() => expect(written("ssh-add.pids")).toHaveLength(4));
    clock.advance(60_000);
    await eventually(() => expect(written("ssh-add.pids")).toHaveLength(6));
    clock.advance(60_000);
    expect((await all).map(({ status }) => status)).toEqual(Array(6).fill("rejected"));
  });
});

describe("a key that is open", () => {
  it("is opened once for all who know its passphrase, and nobody else gets it", async () => {
    const { ring, key, written } = await makeRing({ "ssh-add": 'echo run >> "$0.runs"\nexec REAL "$@"' });
    const [one, two] = await Promise.all([ring.open(key, SECRET, never), ring.open(key, SECRET, never)]);
    expect(written("ssh-add.runs")).toHaveLength(1);
    await expect(ring.open(key, "another", never)).rejects.toThrow(WrongPassphrase);
    one.release();
    expect(await two.isThere()).toBe(true);
    await expect(two.sign(Buffer.from("data"), "ssh-ed25519")).resolves.toBeInstanceOf(Buffer);
    two.release();
    expect(await two.isThere()).toBe(false);
    await eventually(() =>
      expect(two.sign(Buffer.from("data"), "ssh-ed25519")).rejects.toThrow(/agent|ENOENT|ECONN/),
    );
  });

  it("is there whenever it is opened, however soon after the end of the agent before", async () => {
    const { ring, key } = await makeRing({});
    for (let i = 0; i < 10; i++) {
      const open = await ring.open(key, SECRET, never);
      expect(await open.isThere()).toBe(true);
      open.release();
    }
  });

  it("is opened again after its agent has been killed", async () => {
    const { ring, key, written } = await makeRing({
      // The agent is in the background of what holds it, and is the one that its socket's number belongs to.
      "ssh-agent": `hold=$5\nexport hold\nexec REAL "$1" "$2" sh -c 'echo $SSH_AGENT_PID >> '"$0"'.pids; exec sh -c "$hold"'`,
    });
    const first = await ring.open(key, SECRET, never);
    const [pid = 0] = written("ssh-agent.pids").map(Number);
    process.kill(pid, "SIGKILL");
    expect(await first.isThere()).toBe(false);
    const second = await ring.open(key, SECRET, never);
    expect(await second.isThere()).toBe(true);
  });

  it("that is another than the public half beside it is refused, and does not stay in the agent", async () => {
    const { ring, keys } = await makeRing({}, 3);
    const [one, two, three] = keys as [Key, Key, Key];
    const held = await ring.open(three, SECRET, never);
    await expect(ring.open({ path: one.path, blob: two.blob }, SECRET, never)).rejects.toThrow(
      `it is another key than ${one.path}.pub`,
    );
    expect(await held.isThere()).toBe(true);
  });
});
