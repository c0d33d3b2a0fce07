// The command line itself. No daemon listens here, so whatever gets as far as the socket exits with 3.
import { describe, expect, it } from "vitest";
import { has, readArguments } from "../../cli/args.ts";
import { type Context, type Invocation } from "../../cli/command.ts";
import { connectionOf, connectionOptions } from "../../cli/connection-options.ts";
import { forwardOptions, patternsOf, specsOf } from "../../cli/forward-options.ts";
import * as globals from "../../cli/global-options.ts";
import { run } from "../../cli/run.ts";
import { verbs } from "../../cli/verbs.ts";
import { version } from "../../shared/version.ts";
import { atPath } from "../support/at-path.ts";
import { contextOf } from "../support/canned-daemon.ts";

const services = `# Network services
ssh             22/tcp   # SSH Remote Login Protocol
domain          53/udp
http            80/tcp          www     # WorldWideWeb HTTP
http            8000/tcp
`;
const env = { TUND_SOCKET: "/nowhere/tund.sock", WEB: "intranet:80", EMPTY: "" };

const contextThatWrites = (written: { out: string; err: string }): Context =>
  contextOf(written, { env, readServices: () => services });

async function tunctl(...argv: string[]) {
  const written = { out: "", err: "" };
  return { code: await run(argv, contextThatWrites(written)), ...written };
}

/** An invocation of a verb that takes every option there is. */
function invocation(line: string): Invocation {
  const options = [...globals.globalOptions, ...forwardOptions, ...connectionOptions];
  const { given, positionals, problem } = readArguments(line.split(" "), options, "");
  if (problem !== undefined) throw problem;
  const context = contextThatWrites({ out: "", err: "" });
  const call = () => Promise.reject(new Error("nothing is called"));
  const [json, quiet, verbose] = [globals.json, globals.quiet, globals.verbose].map((one) => has(given, one));
  return {
    context,
    given,
    positionals,
    json,
    quiet,
    verbose,
    commands: verbs,
    daemon: () => Promise.resolve(atPath("/nowhere")),
    call,
  } as Invocation;
}

const local = (spec: string) => ({ kind: "local", spec });
const remote = (spec: string) => ({ kind: "remote", spec });
const dynamic = (spec: string) => ({ kind: "dynamic", spec });

describe("options", () => {
  it.each([
    "-4vL 1:a:2 -p 2222 db",
    "-v4L1:a:2 -p2222 db",
    "db -p 2222 -4 -L1:a:2 -v",
    "-p2222 -v -4 -L 1:a:2 -- db",
    "--verbose -p 2222 db -4L 1:a:2",
  ])("may be clustered, attached, and stand anywhere: %s", (line) => {
    const read = invocation(line);
    expect(read.positionals).toEqual(["db"]);
    expect(read.verbose).toBe(true);
    expect(specsOf(read)).toEqual([local("1:a:2")]);
    expect(connectionOf(read)).toEqual({ port: 2222, addressFamily: "inet" });
  });

  it("end at `--`, and take a value that begins with a dash", () => {
    expect(invocation("-l -x -- -4 db").positionals).toEqual(["-4", "db"]);
    expect(connectionOf(invocation("-l -x db"))).toEqual({ user: "-x" });
  });

  it.each([
    ["db", undefined],
    ["-F cfg -i key -i /k", { configFile: "/home/me/cfg", identityFiles: ["/home/me/key", "/k"] }],
    ["-F none -i ~/k -i %d/k", { configFile: "none", identityFiles: ["~/k", "%d/k"] }],
    ["-F a -F b", { configFile: "/home/me/b" }],
    ["-o A=1 -oB=2", { options: ["A=1", "B=2"] }],
    ["-p ssh", { port: 22 }],
    ["-p 1 -p 2 -l a -l b", { port: 1, user: "a" }],
    ["-J a,b", { jump: "a,b" }],
    ["-46", { addressFamily: "inet6" }],
    ["-64", { addressFamily: "inet" }],
  ])("that say how to connect mean what they mean to ssh: %s", (line, connection) => {
    expect(connectionOf(invocation(line))).toEqual(connection);
  });

  it.each([
    ["-p 0", "bad port '0' for -p: it must be from 1 to 65535"],
    ["-p 65536", "bad port '65536' for -p: it must be from 1 to 65535"],
    ["-p 22x", "bad port '22x' for -p: it must be from 1 to 65535"],
    ["-p domain", "bad port 'domain' for -p: it must be from 1 to 65535"],
    ["-J a -J b", "-J was given twice: join the hosts with commas"],
  ])("that say how to connect are refused when they cannot be: %s", async (line, message) => {
    expect(await tunctl("connect", ...line.split(" "), "db")).toEqual({
      code: 2,
      out: "",
      err: `tunctl: ${message}\n`,
    });
  });

  it.each([
    [["frward", "db"], "unknown verb 'frward': did you mean 'forward'?"],
    [["xyzzy"], "unknown verb 'xyzzy': see 'tunctl help'"],
    [["list", "--jsno"], "unknown option '--jsno': did you mean '--json'? (see 'tunctl help list')"],
    [["list", "-Z"], "unknown option '-Z' (see 'tunctl help list')"],
    [["list", "-vZ"], "unknown option '-Z' (see 'tunctl help list')"],
    [["list", "--v"], "unknown option '--v' (see 'tunctl help list')"],
    [["forward", "--L", "1:a:2", "db"], "unknown option '--L' (see 'tunctl help forward')"],
    [
      ["--sokcet"],
      "unknown option '--sokcet': did you mean '--socket'? (a verb's own options come after it: see 'tunctl help')",
    ],
    [["-p22", "list"], "unknown option '-p' (a verb's own options come after it: see 'tunctl help')"],
    [["list", "--json=1"], "option --json takes no value (see 'tunctl help list')"],
    [["connect", "db", "-p"], "option -p needs a value, PORT (see 'tunctl help connect')"],
    [["list", "--socket="], "option --socket needs a value, PATH (see 'tunctl help list')"],
    [["check", ""], "an argument is empty (see 'tunctl help check')"],
    [["check", "a", "b"], "unexpected argument 'b' (see 'tunctl help check')"],
    [["version", "a"], "unexpected argument 'a' (see 'tunctl help version')"],
    [["-q", "list", "-v"], "-q and -v exclude each other"],
    [["stdo", "a:1", "db"], "unknown verb 'stdo': did you mean 'stdio'?"],
    [["list", "-O", "exit"], "unknown option '-O' (see 'tunctl help list')"],
    [["stdio", "-W", "a:1", "db"], "unknown option '-W' (see 'tunctl help stdio')"],
    [["-W", "a:1", "-W", "b:1", "db"], "-W was given twice"],
    [["-W"], "option -W needs a value, DEST (see 'tunctl help stdio')"],
    [["-W", "a:1", "db", "web"], "unexpected argument 'web' (see 'tunctl help stdio')"],
    [["-W", "a", "db"], "bad stdio forwarding specification 'a': it must have the form host:port or /path"],
    [["stdio", "a:0", "db"], "bad stdio forwarding specification 'a:0': the destination port must not be 0"],
    [["stdio"], "stdio needs a DEST: host:port or a path (see 'tunctl help stdio')"],
    [["forward", "db"], "forward needs at least one -L, -R or -D SPEC"],
    [["cancel"], "cancel needs an ID, or -L, -R or -D SPEC, or --all"],
    [["cancel", "--all", "-L", "1", "db"], "cancel --all takes a HOST and nothing else"],
    [["cancel", "--all", "a", "b"], "cancel --all takes a HOST and nothing else"],
  ])("that are wrong are told in one line: %j", async (argv, message) => {
    expect(await tunctl(...argv)).toEqual({ code: 2, out: "", err: `tunctl: ${message}\n` });
  });

  it("before the verb are those of every verb", async () => {
    expect((await tunctl("--json", "version")).out).toBe(`{\n  "tunctl": "${version}",\n  "tund": null\n}\n`);
    expect((await tunctl("--socket", "list", "list")).err).toContain("no daemon answers on list:");
    expect((await tunctl("--socket=/a", "list", "--socket", "/b")).err).toContain("no daemon answers on /b:");
  });
});

describe("forwards", () => {
  it.each([
    ["-L 5432:localhost:5432", [local("5432:localhost:5432")]],
    ["-L 1:a:2 -D 3 -R 4 -L 5:b:6", [local("1:a:2"), dynamic("3"), remote("4"), local("5:b:6")]],
    ["-L :8080:a:80", [local("*:8080:a:80")]],
    ["-L [::1]:8080:[fe80::1]:80", [local("[::1]:8080:[fe80::1]:80")]],
    ["-L 8080:${WEB}", [local("8080:intranet:80")]],
    ["-L 8080:a${EMPTY}:80", [local("8080:a:80")]],
    ["-L 8080:$WEB:80", [local("8080:$WEB:80")]],
    ["-L www:a:http", [local("80:a:80")]],
    ["-D ssh", [dynamic("22")]],
    ["-L x/s:./t", [local("/home/me/x/s:./t")]],
    ["-L /abs/s:a:80", [local("/abs/s:a:80")]],
    ["-L %d/s:a:80", [local("%d/s:a:80")]],
    ["-D ./s", [dynamic("/home/me/s")]],
    ["-R ./s:../t", [remote("./s:/home/t")]],
    ["-R 80:x/t", [remote("80:/home/me/x/t")]],
  ])("are sent in ssh's spelling, with this side's names settled: %s", (line, forwards) => {
    expect(specsOf(invocation(line))).toEqual(forwards);
  });

  it.each([
    ["-L 8080", [local("8080")]],
    ["-L 127.0.0.1:http", [local("127.0.0.1:80")]],
    ["-L x/s", [local("/home/me/x/s")]],
    ["-R x/s -D ./d", [remote("x/s"), dynamic("/home/me/d")]],
    ["-L 8080:${WEB}", [local("8080:intranet:80")]],
  ])("are cancelled by the whole spec or its bind part: %s", (line, forwards) => {
    expect(patternsOf(invocation(line))).toEqual(forwards);
  });

  it.each([
    ["-L8080", "bad local forwarding specification '8080': it must have the form "],
    ["-L0:a:80", "bad local forwarding specification '0:a:80': the listen port must not be 0"],
    ["-L8080:a:domain", "the destination port 'domain' is not a number"],
    ["-LRemote:a:2", "the listen port 'Remote' is not a number"],
    ["-L1:${NOPE}:2", "'1:${NOPE}:2' names ${NOPE}, which is not set in the environment"],
    ["-L1:${}:2", "'1:${}:2' has a '${}' without a name"],
    ["-L1:${WEB", "'1:${WEB' has a '${' without a '}'"],
  ])("that cannot be are refused before the daemon is asked: %s", async (spec, message) => {
    const { code, out, err } = await tunctl("forward", "-L", "1:a:2", spec);
    expect({ code, out, lines: err.split("\n").length }).toEqual({ code: 2, out: "", lines: 2 });
    expect(err).toContain(message);
  });

  it("need no services(5) for a port that is a number, and none that can be read", async () => {
    const context: Context = {
      ...contextThatWrites({ out: "", err: "" }),
      readServices: () => {
        throw new Error("ENOENT");
      },
    };
    expect(await run(["forward", "-L", "1:a:2", "db"], context)).toBe(3);
    expect(await run(["forward", "-L", "http:a:2", "db"], context)).toBe(2);
  });
});

describe("help", () => {
  it("comes on stderr, short, to whoever gives no verb", async () => {
    for (const argv of [[], ["-v"]]) {
      const { code, out, err } = await tunctl(...argv);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toMatch(/^Usage: tunctl .*\nVerbs: forward, cancel, .*\nSee 'tunctl help'.*\n$/);
    }
  });

  it("names every verb and global option", async () => {
    const { code, out, err } = await tunctl("help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    for (const { name, summary } of verbs) expect(out).toMatch(new RegExp(`^  ${name} +${summary}$`, "m"));
    expect(out).toMatch(/^ {2}-q, --quiet +/m);
    for (const argv of [["--help"], ["-h"], ["-v", "-h"]]) expect((await tunctl(...argv)).out).toBe(out);
  });

  it.each(verbs.map(({ name }) => name))("on %s is the same however it is asked for", async (name) => {
    const { code, out, err } = await tunctl("help", name);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(new RegExp(`^Usage: tunctl ${name}`));
    for (const argv of [
      [name, "-h"],
      [name, "x", "--bogus", "--help"],
      ["-h", name],
      [name, "--json", "-h"],
    ])
      expect((await tunctl(...argv)).out).toBe(out);
  });

  it("shows what an option takes", async () => {
    const { out } = await tunctl("help", "forward");
    expect(out).toMatch(/^ {2}-L SPEC +local: /m);
    expect(out).toMatch(/^ {2}-g +/m);
  });

  it("tells every form of a forward", async () => {
    const { out } = await tunctl("help", "forward");
    for (const form of ["/path:host:hostport", "/path:/path", "[bind_address:]port:/path"])
      expect(out).toContain(form);
    expect(out).not.toContain("not yet");
  });

  it("tells ssh's own spelling, and that its cancel never fails", async () => {
    const { out } = await tunctl("help");
    expect(out).toContain("tunctl -O check|forward|cancel|stop|exit [options] HOST");
    expect(out).toContain("'cancel' exits with 0");
    expect(out).toContain("tunctl -W DEST [options] [HOST]");
    expect((await tunctl("help", "shell")).out).toContain("-KL, -KR, -KD");
  });

  it("fits a terminal of 110 columns", async () => {
    for (const line of (await tunctl("help")).out.split("\n")) expect(line.length).toBeLessThan(110);
    for (const { name } of verbs)
      for (const line of (await tunctl("help", name)).out.split("\n")) expect(line.length).toBeLessThan(110);
  });

  it("on a verb that is none suggests one", async () => {
    expect((await tunctl("help", "statsu")).err).toBe(
      "tunctl: unknown verb 'statsu': did you mean 'status'?\n",
    );
  });

  it("gives the version to -V and --version", async () => {
    for (const flag of ["-V", "--version", "version"])
      expect(await tunctl(flag)).toEqual({ code: 0, out: `tunctl ${version}\n`, err: "" });
  });
});

describe("what nobody expected", () => {
  it("is one line and exit code 1, with the stack under -v", async () => {
    const written = { out: "", err: "" };
    const gone: Context = {
      ...contextThatWrites(written),
      get cwd(): string {
        throw new Error("ENOENT: no such file or directory, uv_cwd");
      },
    };
    expect(await run(["connect", "-F", "x", "db"], gone)).toBe(1);
    expect(written.err).toBe("tunctl: unexpected error: ENOENT: no such file or directory, uv_cwd\n");
    expect(await run(["connect", "-F", "x", "db", "-v"], gone)).toBe(1);
    expect(written.err).toMatch(/uv_cwd\nError: ENOENT.*\n +at /);
  });
});
