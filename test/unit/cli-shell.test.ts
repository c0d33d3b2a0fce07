// `tunctl shell`: ssh's ~C command line, from a script and at a terminal.
import { PassThrough, Readable, Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { type Answers, cannedDaemon, Refusal } from "../support/canned-daemon.ts";
import { forward, master } from "../support/records.ts";

/** Gives a script to the shell, a command a line. */
async function shell(lines: readonly string[], answers: Answers = {}) {
  const { requests, tunctl, socket } = await cannedDaemon({ answers });
  const outcome = await tunctl(["shell", "db"], {
    env: { TUND_SOCKET: socket, WEB: "intranet:80" },
    stdin: Readable.from([lines.join("\n")]),
    readServices: () => "http 80/tcp\n",
  });
  const asked = requests.slice(1).map(([, body]) => body);
  return { ...outcome, asked, said: outcome.out.split("\n").slice(0, -1) };
}

const forwarding = (kind: string, spec: string) => ({ host: "db", forwards: [{ kind, spec }] });

describe("a command", () => {
  it.each([
    ["-L 8080:a:80", "local", "8080:a:80"],
    ["L8080:a:80", "local", "8080:a:80"],
    ["  -L8080:a:http  ", "local", "8080:a:80"],
    ["L ${WEB}:b:1", "local", "intranet:80:b:1"],
    ["-R 8022:localhost:22", "remote", "8022:localhost:22"],
    ["R 9000", "remote", "9000"],
    ["-D1080", "dynamic", "1080"],
    ["-L ./s:a:80", "local", "/home/me/s:a:80"],
    ["-KL 8080", "local", "8080"],
    ["KL127.0.0.1:8080", "local", "127.0.0.1:8080"],
    ["-KR 8022", "remote", "8022"],
    ["KD 1080", "dynamic", "1080"],
  ])("is read as ssh does, with or without dash and space: '%s'", async (line, kind, spec) => {
    const { code, asked, said, err } = await shell([line]);
    expect({ code, asked, err }).toEqual({ code: 0, asked: [forwarding(kind, spec)], err: "" });
    expect(said).toEqual([line.includes("K") ? "Canceled forwarding." : "Forwarding port."]);
  });

  it.each(["frobnicate", "l 8080:a:80", "-X 1", "-kL 1", "!ls", "--L 1:a:2"])(
    "that ssh does not know is none: '%s'",
    async (line) => {
      expect(await shell([line])).toMatchObject({ code: 1, asked: [], said: ["Invalid command."] });
    },
  );

  it.each(["-L nonsense", "-L", "-D 0", "-KL x", "-R ${NOPE}:a:1"])(
    "with a bad specification is told so: '%s'",
    async (line) => {
      const { code, asked, said } = await shell([line]);
      expect({ code, asked }).toEqual({ code: 1, asked: [] });
      expect(said).toEqual([expect.stringMatching(/^Bad forwarding specification: ./)]);
    },
  );

  it.each(["?", "-?", "help", "-h", "h"])("that asks for help lists the commands: '%s'", async (line) => {
    const { code, said } = await shell([line]);
    expect(code).toBe(0);
    expect(said[0]).toBe("Commands:");
    expect(said.slice(1).map((each) => each.trim().slice(0, 3))).toEqual([
      "-L[",
      "-R[",
      "-D[",
      "-KL",
      "-KR",
      "-KD",
    ]);
  });

  it("that lets the server choose a port says which", async () => {
    const made = { ...forward, allocatedPort: 41_234, destination: { host: "localhost", port: 3000 } };
    const { said } = await shell(["-R 0:localhost:3000"], { "POST /v1/forwards": { forwards: [made] } });
    expect(said).toEqual(["Allocated port 41234 for remote forward to localhost:3000"]);
  });
});

describe("a script", () => {
  const refusals = {
    "POST /v1/forwards": new Refusal("BIND_IN_USE", "port 80 is taken by nginx"),
    "POST /v1/forwards/cancel": new Refusal("NOT_FOUND", "no such forward"),
  };

  it("goes on after a failure and fails in the end", async () => {
    const { code, asked, said } = await shell(["-L 80:a:80", "", "-KL 80", "?", "-KD 1"], refusals);
    expect(code).toBe(1);
    expect(asked).toHaveLength(3);
    expect(said.filter((line) => !line.startsWith(" "))).toEqual([
      "Port forwarding failed: port 80 is taken by nginx",
      "Unknown port forwarding.",
      "Commands:",
      "Unknown port forwarding.",
    ]);
  });

  it.each(["exit", "quit", " exit "])("ends at '%s', though stdin stays open", async (word) => {
    const { requests, tunctl } = await cannedDaemon();
    const stdin = new PassThrough();
    stdin.write(`-D 1\n${word}\n-D 2\n`);
    expect(await tunctl(["shell", "db"], { stdin })).toEqual({ code: 0, out: "Forwarding port.\n", err: "" });
    expect(requests).toHaveLength(2);
  });

  it("is empty without commands", async () => {
    expect(await shell([])).toMatchObject({ code: 0, out: "", err: "" });
    expect(await shell(["", "  "])).toMatchObject({ code: 0, out: "", err: "", asked: [] });
  });

  it("is not read without a master", async () => {
    const { tunctl } = await cannedDaemon({
      answers: { "GET /v1/masters/db": new Refusal("NOT_FOUND", "no master for db") },
    });
    expect(await tunctl(["shell", "db"])).toEqual({ code: 4, out: "", err: "tunctl: no master for db\n" });
  });

  it("finds the only host by itself", async () => {
    const { requests, tunctl } = await cannedDaemon();
    await tunctl(["shell"], { stdin: Readable.from(["-D 1\n"]) });
    expect(requests.at(-1)).toEqual(["POST /v1/forwards", forwarding("dynamic", "1")]);
    expect(master.host).toBe("db");
  });

  it("ends with the daemon", async () => {
    const { code, err } = await shell(["-D 1", "-D 2"], {
      "POST /v1/forwards": new Refusal("DAEMON_UNREACHABLE", "it went away"),
    });
    expect({ code, err }).toEqual({ code: 3, err: "tunctl: it went away\n" });
  });
});

describe("a terminal", () => {
  it("is shown a prompt for every command, and what fails there fails nothing else", async () => {
    const { tunctl } = await cannedDaemon();
    const stdin = Object.assign(new PassThrough(), { isTTY: true });
    let shown = "";
    const stdout = new Writable({
      write(chunk: Buffer, _, written) {
        shown += chunk.toString();
        written();
      },
    });
    const running = tunctl(["shell", "db"], { stdin, stdout });
    const conversation = { "-D 1": "Forwarding port.\n", nonsense: "Invalid command.\n" };
    for (const [line, answer] of Object.entries(conversation)) {
      await expect.poll(() => shown).toMatch(/ssh> [^\n]*$/);
      stdin.write(`${line}\r`);
      await expect.poll(() => shown).toContain(answer);
    }
    stdin.write("\u0004"); // ^D
    expect((await running).code).toBe(0);
    expect(shown.split("ssh> ").length).toBeGreaterThan(3);
  });
});
