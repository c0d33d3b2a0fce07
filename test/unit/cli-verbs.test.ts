// Every verb against canned answers: what it sends, what it prints, what it exits with.
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { noStreams } from "../support/no-streams.ts";
import type { Context } from "../../cli/command.ts";
import { run } from "../../cli/run.ts";
import type { Master } from "../../shared/contract.ts";
import { version } from "../../shared/version.ts";
import { ago, forward, master, now } from "../support/records.ts";
import { tempDir } from "../support/temp-dir.ts";

const daemon = {
  version,
  pid: 99,
  since: ago(86_400),
  socket: "/run/tund.sock",
  node: "v20.20.2",
  nativeCrypto: true,
};
const standing: Record<string, unknown> = {
  "GET /v1/status": { daemon, masters: [master] },
  "GET /v1/masters": { masters: [master] },
  "GET /v1/forwards": { forwards: [forward] },
  "POST /v1/forwards": { forwards: [forward] },
  "POST /v1/forwards/cancel": { forwards: [forward] },
  "PUT /v1/masters/db": master,
  "DELETE /v1/masters/db": master,
  "POST /v1/masters/db/stop": master,
  "POST /v1/masters/db/check": { host: "db", pid: 4242, roundTripMs: 12.34 },
};

/** A daemon that knows its answers by heart, and tunctl to ask it. */
async function cannedDaemon({ answers = {} }: { answers?: Record<string, unknown> } = {}) {
  const requests: unknown[][] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      requests.push([`${incoming.method} ${incoming.url}`, ...(text === "" ? [] : [JSON.parse(text)])]);
      const key = `${incoming.method} ${incoming.url?.split("?")[0]}`;
      outgoing.setHeader("tund-version", version);
      outgoing.end(JSON.stringify(answers[key] ?? standing[key]));
    });
  });
  const directory = await tempDir();
  const socket = join(directory.path, "tund.sock");
  await new Promise<void>((listening) => server.listen(socket, listening));
  onTestFinished(async () => {
    await new Promise((closed) => server.close(closed));
    await directory.remove();
  });

  const tunctl = async (argv: readonly string[], isTTY = false) => {
    const written = { out: "", err: "" };
    const context: Context = {
      env: { TUND_SOCKET: socket },
      cwd: "/home/me",
      home: "/home/me",
      platform: process.platform,
      ...noStreams(),
      stdout: { isTTY, write: (text) => (written.out += text) },
      stderr: { write: (text) => (written.err += text) },
      now: () => now,
      readServices: () => "",
    };
    return { code: await run(argv, context), ...written };
  };
  return { requests, tunctl };
}

const spec = { kind: "local", spec: "5432:localhost:5432" };
const done = { code: 0, out: "", err: "" };

describe("a verb", () => {
  it.each([
    ["forward -L 5432:localhost:5432 db", "POST /v1/forwards", { host: "db", forwards: [spec] }],
    [
      "forward -gL 5432:localhost:5432 -p 2222 db",
      "POST /v1/forwards",
      { host: "db", forwards: [spec], connection: { port: 2222 }, gatewayPorts: true },
    ],
    ["cancel f7k2", "POST /v1/forwards/cancel", { ids: ["f7k2"] }],
    ["cancel --all", "POST /v1/forwards/cancel", { all: true }],
    ["cancel db --all", "POST /v1/forwards/cancel", { all: true, host: "db" }],
    [
      "cancel -L 5432 -R 80 db",
      "POST /v1/forwards/cancel",
      {
        host: "db",
        forwards: [
          { kind: "local", spec: "5432" },
          { kind: "remote", spec: "80" },
        ],
      },
    ],
    [
      "cancel -L 5432:localhost:5432 f7k2 db",
      "POST /v1/forwards/cancel",
      { host: "db", ids: ["f7k2"], forwards: [spec] },
    ],
    ["connect db", "PUT /v1/masters/db", {}],
    ["connect db -J hop", "PUT /v1/masters/db", { connection: { jump: "hop" } }],
    ["stop db", "POST /v1/masters/db/stop"],
    ["exit db", "DELETE /v1/masters/db"],
  ])("that changes something sends it and prints nothing to a script: %s", async (line, ...request) => {
    const { requests, tunctl } = await cannedDaemon();
    expect(await tunctl(line.split(" "))).toEqual(done);
    expect(requests).toEqual([request]);
  });

  it.each([
    ["forward -L 5432:localhost:5432 db", "f7k2  5432:localhost:5432\n"],
    ["cancel f7k2", "cancelled f7k2  5432:localhost:5432\n"],
    ["connect db", "connected to db (alice@db.internal:22, OpenSSH_9.2p1)\n"],
    ["stop db", "stopping db\n"],
    ["exit db", "ended db\n"],
  ])("that changed something says so to a terminal or under -v, not under -q: %s", async (line, out) => {
    const { tunctl } = await cannedDaemon();
    expect(await tunctl(line.split(" "), true)).toEqual({ ...done, out });
    expect(await tunctl(["-v", ...line.split(" ")])).toEqual({ ...done, out });
    expect(await tunctl(["-q", ...line.split(" ")], true)).toEqual(done);
  });

  it.each([
    ["forward -L 1:a:2 db", { forwards: [forward] }],
    ["cancel f7k2", { forwards: [forward] }],
    ["list", { forwards: [forward] }],
    ["status", { daemon, masters: [master] }],
    ["status alice@db.internal", { daemon, masters: [master] }],
    ["connect db", master],
    ["check db", { host: "db", pid: 4242, roundTripMs: 12.34 }],
    ["stop db", master],
    ["exit db", master],
    ["version", { tunctl: version, tund: version }],
  ])("prints what it made, changed or found with --json: %s", async (line, object) => {
    const { tunctl } = await cannedDaemon();
    const { code, out, err } = await tunctl([...line.split(" "), "--json"]);
    expect({ code, err, object: JSON.parse(out) }).toEqual({ code: 0, err: "", object });
  });

  it("that reads asks for one host only when one is named", async () => {
    const { requests, tunctl } = await cannedDaemon();
    await tunctl(["list"]);
    await tunctl(["list", "a b&c"]);
    await tunctl(["check", "ssh://x/y"]);
    expect(requests).toEqual([
      ["GET /v1/forwards"],
      ["GET /v1/forwards?host=a%20b%26c"],
      ["POST /v1/masters/ssh%3A%2F%2Fx%2Fy/check"],
    ]);
  });

  it("says what check found, and with -v how fast", async () => {
    const { tunctl } = await cannedDaemon();
    expect(await tunctl(["check", "db"])).toEqual({ ...done, out: "Master running (pid=4242)\n" });
    expect((await tunctl(["check", "-v", "db"])).out).toBe("Master running (pid=4242), round trip 12.3ms\n");
  });

  it("names the server only when it has said what it is", async () => {
    const { tunctl } = await cannedDaemon({ answers: { "PUT /v1/masters/db": { ...master, server: null } } });
    expect((await tunctl(["connect", "db", "-v"])).out).toBe("connected to db (alice@db.internal:22)\n");
  });

  it("warns of what a forward warns of, unless -q", async () => {
    const answers = { "POST /v1/forwards": { forwards: [{ ...forward, warnings: ["no IPv6\nhere"] }] } };
    const { tunctl } = await cannedDaemon({ answers });
    const argv = ["forward", "-L", "5432:localhost:5432", "db"];
    expect((await tunctl(argv)).err).toBe("tunctl: warning: 5432:localhost:5432: no IPv6 here\n");
    expect((await tunctl([...argv, "-q"])).err).toBe("");
  });
});

describe("the tables", () => {
  it("line forwards up, with bytes for people and the last failure with its age", async () => {
    const failure = { code: "BIND_IN_USE" as const, message: "port 80 is taken\u001b[2J", at: ago(120) };
    const bind = { address: "::1", port: 80 };
    const other = { ...forward, id: "q", bind, destination: { path: "/x" }, failure, warnings: ["slow"] };
    const { tunctl } = await cannedDaemon({
      answers: { "GET /v1/forwards": { forwards: [forward, other] } },
    });
    expect((await tunctl(["list"])).out.split("\n")).toEqual([
      "ID    HOST  KIND   BIND            DESTINATION     STATE   OPEN  TOTAL  FAILED     IN  OUT  LAST-FAILURE",
      "f7k2  db    local  localhost:5432  localhost:5432  active     1     20       0  47.1K  912  -",
      String.raw`q     db    local  [::1]:80        /x              active     1     20       0  47.1K  912  port 80 is taken\x1b[2J (2m ago); warning: slow`,
      "",
    ]);
  });

  it("are empty without forwards, which only a terminal is told, and not under -q", async () => {
    const { tunctl } = await cannedDaemon({ answers: { "GET /v1/forwards": { forwards: [] } } });
    expect(await tunctl(["list"])).toEqual(done);
    expect(await tunctl(["list"], true)).toEqual({ ...done, err: "no forwards\n" });
    expect(await tunctl(["list", "-q"], true)).toEqual(done);
  });

  it("show the daemon and each master, `-` for what is not known", async () => {
    const away: Master = {
      ...master,
      host: "box",
      names: ["box"],
      state: "waiting",
      server: null,
      address: null,
      roundTripMs: null,
      failure: { code: "CONNECTION_LOST", message: "connection reset", at: ago(5) },
      retryAt: ago(-30),
    };
    const answers = { "GET /v1/status": { daemon, masters: [master, away] } };
    const { tunctl } = await cannedDaemon({ answers });
    expect((await tunctl(["status"])).out.split("\n")).toEqual([
      `tund ${version} running (pid=99) for 1d on /run/tund.sock, Node v20.20.2`,
      "HOST  STATE    SINCE  SERVER         ADDRESS         RTT  RECONNECTS  FORWARDS  CHANNELS   RETRY  LAST-FAILURE",
      "db    ready       2h  OpenSSH_9.2p1  10.0.0.7:22  12.3ms           2         1         3       -  -",
      "box   waiting     2h  -              -                 -           2         1         3  in 30s  connection reset (5s ago)",
      "",
    ]);
    expect((await tunctl(["status", "box"])).out).not.toContain("10.0.0.7");
    const bare = { daemon: { ...daemon, nativeCrypto: false }, masters: [] };
    const { tunctl: other } = await cannedDaemon({ answers: { "GET /v1/status": bare } });
    expect((await other(["status"])).out).toMatch(/^tund .*, Node v20.20.2, without compiled ciphers\n$/);
    expect(await tunctl(["status", "nope"])).toMatchObject({
      code: 4,
      out: "",
      err: "tunctl: no master for nope\n",
    });
  });
});

describe("HOST", () => {
  it.each(["check", "stop", "exit", "connect", "forward -L 1:a:2", "cancel -L 1"])(
    "may be left out of '%s' when the daemon has one master",
    async (line) => {
      const { requests, tunctl } = await cannedDaemon();
      expect((await tunctl(line.split(" "))).code).toBe(0);
      expect(requests[0]).toEqual(["GET /v1/masters"]);
      expect(JSON.stringify(requests[1])).toMatch(/masters\/db|"host":"db"/);
    },
  );

  it.each([
    [[], "which HOST? The daemon has no master yet"],
    [[master, { ...master, host: "web" }], "which HOST? The daemon has masters for db, web"],
  ])("left out is a mistake when there is none or a choice", async (masters, message) => {
    const { tunctl } = await cannedDaemon({ answers: { "GET /v1/masters": { masters } } });
    expect(await tunctl(["stop"])).toEqual({ code: 2, out: "", err: `tunctl: ${message}\n` });
  });

  it("is the last of several words to cancel if a master has that name, and no forward", async () => {
    const named = [forward, { ...forward, id: "q3xn", name: "web" }];
    const { requests, tunctl } = await cannedDaemon({ answers: { "GET /v1/forwards": { forwards: named } } });
    for (const last of ["db", "q3xn", "web", "gone"]) await tunctl(["cancel", "f7k2", last]);
    expect(
      requests.filter(([route]) => route === "POST /v1/forwards/cancel").map(([, body]) => body),
    ).toEqual([
      { ids: ["f7k2"], host: "db" },
      { ids: ["f7k2", "q3xn"] },
      { ids: ["f7k2", "web"] },
      { ids: ["f7k2", "gone"] },
    ]);
  });
});
