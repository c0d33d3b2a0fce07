// Child processes: by the compiled file, which starts them in a thread, and by Node where it is missing.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Child, Children } from "../../daemon/ssh/children.ts";
import { signalGroup } from "../../daemon/ssh/process-group.ts";
import { loadNative, nativeFile } from "../../shared/native/load.ts";
import { eventually } from "../support/eventually.ts";

const native = loadNative(`dist/${nativeFile(process.platform, process.arch)}`);
const env = { PATH: process.env["PATH"], GIVEN: "a = b" };

const open = () => readdirSync("/proc/self/fd").length;

if (native === null) console.log("skipped: children by the compiled file, which is not there");
const ways = [
  { by: "the compiled file", native },
  { by: "Node", native: null },
].filter(({ by, native: found }) => by === "Node" || found !== null);

describe.each(ways)("a child that is started by $by", ({ native: starting }) => {
  const make = (): Children => {
    const children = new Children(starting, env);
    const reap = () => children.reap();
    process.on("SIGCHLD", reap);
    onTestFinished(() => void process.off("SIGCHLD", reap));
    return children;
  };
  const script = (children: Children, command: string): Promise<Child> =>
    children.start("sh", ["-c", command]);

  it("reads what it is given, says what it says, and ends with its code", async () => {
    const child = await script(make(), 'cat; echo "$GIVEN" >&2; exit 7');
    child.stdin.end("in and out");
    const said = await Promise.all([text(child.stdout), text(child.stderr)]);
    expect([...said, await child.exited]).toEqual(["in and out", "a = b\n", { code: 7, signal: null }]);
    expect(child.exit).toEqual({ code: 7, signal: null });
  });

  it("leads a session of its own, with every signal as it comes", async () => {
    const child = await script(
      make(),
      "read -r pid name state parent group session rest </proc/self/stat; echo $$ $group $session; grep -E 'Sig(Ign|Blk)' /proc/self/status",
    );
    const said = await text(child.stdout);
    // Two that libc keeps for itself (32 and 33) may be ignored.
    expect(said).toMatch(
      new RegExp(`^${child.pid} ${child.pid} ${child.pid}\nSigBlk:\t0+\nSigIgn:\t0+(18)?0+\n$`),
    );
    await child.exited;
  });

  it("has no stream of another child's, whose input ends when we end it", async () => {
    const children = make();
    const reader = await script(children, "cat; echo over");
    const other = await script(children, "exec sleep 600");
    onTestFinished(() => void signalGroup(other, "SIGKILL"));
    reader.stdin.end();
    expect(await text(reader.stdout)).toBe("over\n");
  });

  it("is told of by the signal that ended it, and its group can be signalled", async () => {
    const child = await script(make(), "sleep 600 & wait");
    expect(child.exit).toBeUndefined();
    signalGroup(child, "SIGKILL");
    expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
    await eventually(() => !signalGroup(child, "SIGCONT"));
  });

  it("that cannot be started is said so with the system's code, and leaves no descriptor", async () => {
    const children = make();
    const before = open();
    await expect(children.start("/nonexistent/program", [])).rejects.toMatchObject({ code: "ENOENT" });
    await expect(children.start("no-such-program-on-path", [])).rejects.toMatchObject({ code: "ENOENT" });
    await expect(children.start("/etc/passwd", [])).rejects.toMatchObject({ code: "EACCES" });
    await expect(children.start("true", ["x".repeat(1 << 22)])).rejects.toMatchObject({ code: "E2BIG" });
    await expect(children.start("true", ["a\0b"])).rejects.toThrow(/null bytes|NUL/);
    await eventually(() => open() <= before);
  });

  it("ends beside many others, and beside those that Node has started, and nobody's end is lost", async () => {
    const children = make();
    const others = Array.from({ length: 20 }, () => spawn("sh", ["-c", "exit 3"], { stdio: "ignore" }));
    const ends = others.map((other) => once(other, "exit"));
    const started = await Promise.all(
      Array.from({ length: 60 }, (_, index) => script(children, `exit ${index}`)),
    );
    for (const child of started)
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    const codes = (await Promise.all(started.map(({ exited }) => exited))).map(({ code }) => code);
    expect(codes).toEqual(Array.from({ length: 60 }, (_, index) => index));
    expect((await Promise.all(ends)).map(([code]) => code as number)).toEqual(others.map(() => 3));
  });

  it("keeps orphans from being reaped while it is started, when nobody knows its pid yet", async () => {
    const children = make();
    const coming = script(children, "exit 5");
    expect(children.reapOrphans()).toBe(starting !== null);
    const child = await coming;
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    expect(await child.exited).toEqual({ code: 5, signal: null });
  });
});
