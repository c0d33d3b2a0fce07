// Every verb against canned answers: what it sends, what it prints, what it exits with.
import { describe, expect, it } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { version } from "../../shared/version.ts";
import { cannedDaemon, daemon } from "../support/canned-daemon.ts";
import { ago, forward, master } from "../support/records.ts";

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
    ["cancel f7k2 --drain 30", "POST /v1/forwards/cancel", { ids: ["f7k2"], drainSeconds: 30 }],
    ["cancel --drain=86400 f7k2", "POST /v1/forwards/cancel", { ids: ["f7k2"], drainSeconds: 86_400 }],
    ["cancel --close --all db", "POST /v1/forwards/cancel", { all: true, host: "db", drainSeconds: 0 }],
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
    expect(await tunctl(line.split(" "), { isTTY: true })).toEqual({ ...done, out });
    expect(await tunctl(["-v", ...line.split(" ")])).toEqual({
      ...done,
      out,
      err: expect.stringMatching(/^tunctl: speaking to tund on \/.*\n$/),
    });
    expect(await tunctl(["-q", ...line.split(" ")], { isTTY: true })).toEqual(done);
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

  it("prints the ports that the server chose alone, in their order, on a terminal and under -v too", async () => {
    const chosen = (allocatedPort: number | null) => ({ ...forward, allocatedPort, warnings: ["slow"] });
    const made = { forwards: [chosen(41_234), chosen(null), chosen(41_000)] };
    const { tunctl } = await cannedDaemon({ answers: { "POST /v1/forwards": made } });
    const argv = ["forward", "-R", "0:a:1", "-L", "8080:a:80", "-R", "0:b:1", "db"];
    const warning = "tunctl: warning: 5432:localhost:5432: slow\n";
    const ports = { code: 0, out: "41234\n41000\n" };
    expect(await tunctl(argv, { isTTY: true })).toEqual({ ...ports, err: warning.repeat(3) });
    for (const flag of ["-v", "-q"]) expect(await tunctl([...argv, flag])).toMatchObject(ports);
    expect(JSON.parse((await tunctl([...argv, "--json"])).out)).toEqual(made);
  });

  it("warns of the forwards of ssh_config that connect could not set up, unless -q", async () => {
    const answers = { "PUT /v1/masters/db": { ...master, warnings: ["-L 80: taken", "-R 81: refused"] } };
    const { tunctl } = await cannedDaemon({ answers });
    const err = "tunctl: warning: -L 80: taken\ntunctl: warning: -R 81: refused\n";
    expect(await tunctl(["connect", "db"])).toEqual({ ...done, err });
    expect((await tunctl(["connect", "db", "--json"])).err).toBe(err);
    expect(await tunctl(["connect", "db", "-q"])).toEqual(done);
  });

  it.each(["-1", "1.5", "86401", "1e3", "soon", ""])(
    "that cancels takes whole seconds to drain, a day at most: '%s'",
    async (seconds) => {
      const { requests, tunctl } = await cannedDaemon();
      const { code, err } = await tunctl(["cancel", "f7k2", `--drain=${seconds}`]);
      expect({ code, requests }).toEqual({ code: 2, requests: [] });
      expect(err).toContain("--drain");
    },
  );

  it("that cancels either drains or closes", async () => {
    const { requests, tunctl } = await cannedDaemon();
    expect(await tunctl(["cancel", "f7k2", "--close", "--drain", "3"])).toEqual({
      code: 2,
      out: "",
      err: "tunctl: --drain and --close exclude each other\n",
    });
    expect(requests).toEqual([]);
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
      "ID    HOST  KIND   BIND            DESTINATION     STATE   OPEN  TOTAL  FAILED  PARKED     IN  OUT  RETRY  LAST-FAILURE",
      "f7k2  db    local  localhost:5432  localhost:5432  active     1     20       0       0  47.1K  912      -  -",
      String.raw`q     db    local  [::1]:80        /x              active     1     20       0       0  47.1K  912      -  port 80 is taken\033[2J (2m ago); warning: slow`,
      "",
    ]);
  });

  it("show the port that the server chose, the paths of Unix sockets, and `socks` for no destination", async () => {
    const bind = { address: "localhost", port: 0 };
    const forwards: Forward[] = [
      { ...forward, kind: "remote", bind, allocatedPort: 41_234, destination: null },
      { ...forward, bind: { path: "/run/a.sock" }, destination: { path: "/run/b.sock" } },
      { ...forward, kind: "remote", bind, state: "pending" },
    ];
    const { tunctl } = await cannedDaemon({ answers: { "GET /v1/forwards": { forwards } } });
    const rows = (await tunctl(["list"])).out.trimEnd().split("\n").slice(1);
    expect(rows.map((row) => row.split(/ {2,}/).slice(2, 6))).toEqual([
      ["remote", "localhost:41234", "socks", "active"],
      ["local", "/run/a.sock", "/run/b.sock", "active"],
      ["remote", "localhost:0", "localhost:5432", "pending"],
    ]);
  });

  it("are empty without forwards, which only a terminal is told, and not under -q", async () => {
    const { tunctl } = await cannedDaemon({ answers: { "GET /v1/forwards": { forwards: [] } } });
    expect(await tunctl(["list"])).toEqual(done);
    expect(await tunctl(["list"], { isTTY: true })).toEqual({ ...done, err: "no forwards\n" });
    expect(await tunctl(["list", "-q"], { isTTY: true })).toEqual(done);
  });

  it("show the daemon and each master, `-` for what is not known", async () => {
    const away: Master = {
      ...master,
      host: "box",
      names: ["box"],
      state: "waiting",
      server: null,
      address: null,
      via: ["edge", "inner"],
      keyExchange: null,
      roundTripMs: null,
      failure: { code: "CONNECTION_LOST", message: "connection reset", at: ago(5) },
      retryAt: ago(-30),
    };
    const classic = { algorithm: "curve25519-sha256", postQuantum: false };
    const old: Master = { ...master, host: "old", keyExchange: { ...classic, warned: true } };
    const told: Master = { ...master, host: "told", keyExchange: { ...classic, warned: false } };
    const answers = { "GET /v1/status": { daemon, masters: [master, old, told, away] } };
    const { tunctl } = await cannedDaemon({ answers });
    expect((await tunctl(["status"])).out.split("\n")).toEqual([
      `tund ${version} running (pid=99) for 1d on /run/tund.sock, Node v20.20.2`,
      "HOST  STATE    SINCE  SERVER         ADDRESS      VIA         KEX                       RTT  RECONNECTS  FORWARDS  CHANNELS   RETRY  LAST-FAILURE",
      "db    ready       2h  OpenSSH_9.2p1  10.0.0.7:22  -           mlkem768x25519-sha256  12.3ms           2         1         3       -  -",
      "old   ready       2h  OpenSSH_9.2p1  10.0.0.7:22  -           curve25519-sha256!     12.3ms           2         1         3       -  -",
      "told  ready       2h  OpenSSH_9.2p1  10.0.0.7:22  -           curve25519-sha256      12.3ms           2         1         3       -  -",
      "box   waiting     2h  -              -            edge inner  -                           -           2         1         3  in 30s  connection reset (5s ago)",
      "",
    ]);
    expect((await tunctl(["status", "box"])).out).not.toContain("10.0.0.7");
    const bare = { daemon: { ...daemon, nativeCrypto: false }, masters: [] };
    const { tunctl: other } = await cannedDaemon({ answers: { "GET /v1/status": bare } });
    expect((await other(["status"])).out).toMatch(/^tund .*, Node v20.20.2, without compiled ciphers\n$/);
    const log = { lost: 12, failure: "its terminal is gone (EIO)" };
    const troubled = { daemon: { ...daemon, log, descriptors: { limit: 64, refused: 3 } }, masters: [] };
    const { tunctl: third } = await cannedDaemon({ answers: { "GET /v1/status": troubled } });
    expect((await third(["status"])).out.split("\n").slice(1)).toEqual([
      "log: 12 lines lost; it cannot be written now: its terminal is gone (EIO)",
      "descriptors: 3 connections refused, for there may be 64 (ulimit -n, LimitNOFILE)",
      "",
    ]);
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
