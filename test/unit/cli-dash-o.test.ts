// `tunctl -O`: ssh's own spelling. The texts and exit codes are those of ssh (OpenSSH 9.2 and 10.5, tried by hand).
import { writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { type Answers, cannedDaemon, controlSocket, Refusal, tunctl } from "../support/canned-daemon.ts";
import { forward, master } from "../support/records.ts";

interface Spec {
  kind: string;
  spec: string;
}
interface Opening {
  host: string;
  forwards: [Spec];
}

const local = (spec: string): Spec => ({ kind: "local", spec });
const remote = (spec: string): Spec => ({ kind: "remote", spec });
const dynamic = (spec: string): Spec => ({ kind: "dynamic", spec });

/** What the daemon makes of ssh_config. */
const resolved = (forwards: Spec[] = [], clearAllForwardings = false) => ({
  host: "db",
  hostname: "db.internal",
  user: "alice",
  port: 22,
  forwards,
  controlPath: "/tmp/cm",
  clearAllForwardings,
  exitOnForwardFailure: false,
});

/** Runs `tunctl -O ...`; gives what it exits with and says, and the forwards that it sent, each by itself. */
async function dashO(line: string, answers: Answers = {}) {
  const { requests, tunctl: ask } = await cannedDaemon({
    answers: { "POST /v1/resolve": resolved(), ...answers },
  });
  const outcome = await ask(line.split(" "));
  const bodies = (route: string) => requests.filter(([asked]) => asked === route).map(([, body]) => body);
  const sent = [...bodies("POST /v1/forwards"), ...bodies("POST /v1/forwards/cancel")].map(
    (body) => (body as Opening).forwards[0],
  );
  return { outcome, requests, sent, bodies };
}

const says = (code: number, ...lines: string[]) => ({
  code,
  out: "",
  err: lines.map((line) => `${line}\r\n`).join(""),
});

const CHECKED = "Master running (pid=4242)";
const noMaster = { "GET /v1/masters/db": new Refusal("NOT_FOUND", "no master for db") };
const everyCommand = ["check", "forward", "cancel", "stop", "exit"];

describe("a master", () => {
  it.each([
    ["check", CHECKED, "POST /v1/masters/db/check"],
    ["stop", "Stop listening request sent.", "POST /v1/masters/db/stop"],
    ["exit", "Exit request sent.", "DELETE /v1/masters/db"],
  ])("is told to %s in ssh's words, of which -q leaves only check's", async (command, text, request) => {
    const { outcome, requests } = await dashO(`-O ${command} db`);
    expect(outcome).toEqual(says(0, text));
    expect(requests).toEqual([["GET /v1/masters/db"], [request]]);
    const quiet = await dashO(`-q -O ${command} db`);
    expect(quiet.outcome).toEqual(command === "check" ? says(0, text) : says(0));
    expect(quiet.requests).toEqual(requests);
  });

  it("whose link is dead is told as one that does not answer", async () => {
    const dead = { "POST /v1/masters/db/check": new Refusal("PROBE_TIMEOUT", "no answer in 5 s") };
    expect((await dashO("-O check db", dead)).outcome).toEqual(
      says(255, "tund: no answer in 5 s", "muxclient: master alive check failed"),
    );
    expect((await dashO("-qO check db", dead)).outcome).toEqual(says(255));
  });

  it("that refuses to stop or to exit is told with why", async () => {
    const busy = new Refusal("MASTER_CLOSING", "it is closing");
    const answers = { "POST /v1/masters/db/stop": busy, "DELETE /v1/masters/db": busy };
    expect((await dashO("-O stop db", answers)).outcome).toEqual(
      says(255, "mux_client_request_stop_listening: stop listening request failed: it is closing"),
    );
    expect((await dashO("-O exit db", answers)).outcome).toEqual(
      says(255, "Master refused termination request: it is closing"),
    );
    expect((await dashO("-q -O exit db", answers)).outcome).toEqual(says(255));
  });

  it.each(everyCommand)(
    "that is not there fails %s as a missing socket does, and is never made",
    async (command) => {
      const { outcome, requests } = await dashO(`-O ${command} -L 8080:a:80 db`, noMaster);
      expect(outcome.code).toBe(255);
      expect(outcome.err).toMatch(/^Control socket connect\(.*tund\.sock\): No such file or directory\r\n$/);
      expect(requests).toEqual([["GET /v1/masters/db"]]);
      expect((await dashO(`-q -O ${command} db`, noMaster)).outcome).toEqual(says(255));
    },
  );
});

describe("-S", () => {
  const [other, driven] = ["other", "/x"].map((host) => ({ ...master, host }));
  const masters = (muxSocket: string | null) => ({
    "GET /v1/masters": { masters: [other, { ...driven, muxSocket }] },
    "DELETE /v1/masters/%2Fx": driven,
  });

  it("names the master that is driven there, whatever the host is called", async () => {
    const { outcome, requests } = await dashO("-S cm -O exit db", masters("/tmp/cm"));
    expect(outcome).toEqual(says(0, "Exit request sent."));
    expect(requests).toEqual([
      ["POST /v1/resolve", { host: "db", connection: { controlPath: "/home/me/cm" } }],
      ["GET /v1/masters"],
      ["DELETE /v1/masters/%2Fx"],
    ]);
  });

  it.each(everyCommand)(
    "where no master is driven fails %s, and no other one is touched",
    async (command) => {
      const { outcome, requests } = await dashO(`-S /tmp/cm -O ${command} -L 8080:a:80 db`, masters(null));
      expect(outcome).toEqual(says(255, "Control socket connect(/tmp/cm): No such file or directory"));
      expect(requests.map(([route]) => route)).toEqual(["POST /v1/resolve", "GET /v1/masters"]);
    },
  );
});

describe("a daemon that is not there", () => {
  it("is told by its own socket's path, or by the one that -S gives", async () => {
    const [missing, refusing] = [await controlSocket(), await controlSocket()];
    await writeFile(refusing, "");
    const connect = (path: string, why: string) => says(255, `Control socket connect(${path}): ${why}`);
    const env = { TUND_SOCKET: missing };
    expect(await tunctl(["-O", "check", "db"], { env })).toEqual(
      connect(missing, "No such file or directory"),
    );
    expect(await tunctl(["-S", "/tmp/cm", "-O", "check", "db"], { env })).toEqual(
      connect("/tmp/cm", "No such file or directory"),
    );
    expect(await tunctl(["-O", "exit", "db", "--socket", refusing], { env })).toEqual(
      connect(refusing, "Connection refused"),
    );
  });
});

describe("options", () => {
  it.each([
    "-O check db",
    "-Ocheck db",
    "db -O check",
    "-fNTO check db",
    "-NfTqO check -v db",
    "-p 22 -l me -i key -F cfg -J hop -o A=1 -46g -O check db",
    "-naAXxYytCkKMs -c aes -m mac -b 1 -B eth0 -e none -E log -I lib -P tag -Q key -w 1 -O check db",
    "-S none -O check -- db",
  ])("stand as with ssh, and those that mean nothing here do no harm: tunctl %s", async (line) => {
    const { outcome, requests } = await dashO(line);
    expect(outcome).toEqual(says(0, CHECKED));
    expect(requests).toHaveLength(2);
  });

  it.each([
    ["-O frobnicate db", "Invalid multiplex command."],
    ["-q -O frobnicate db", "Invalid multiplex command."],
    ["-O proxy db", "Invalid multiplex command."],
    ["-O toString db", "Invalid multiplex command."],
    ["-O check -O exit db", "Multiplexing command already specified"],
    ["-O check -W a:1 db", "Cannot specify stdio forward with -O"],
  ])("that make no sense are refused as ssh does: tunctl %s", async (line, text) => {
    const { outcome, requests } = await dashO(line);
    expect({ outcome, requests }).toEqual({ outcome: says(255, text), requests: [] });
  });

  it.each([
    ["-O forward -L 8080 db", "Bad local forwarding specification '8080'"],
    ["-q -O forward -R a:b:c:d:e db", "Bad remote forwarding specification 'a:b:c:d:e'"],
    ["-O cancel -D nonsense db", "Bad dynamic forwarding specification 'nonsense'"],
    ["-O check -L ${NOPE}:a:1 db", "Bad local forwarding specification '${NOPE}:a:1'"],
    ["-O check -p 99999 db", "bad port '99999' for -p: it must be from 1 to 65535"],
    ["-O check -Z db", "unknown option '-Z' (see 'tunctl help')"],
    ["-O check", "usage: tunctl -O forward|cancel|check|stop|exit [options] HOST"],
  ])("with bad values are refused before anything is asked: tunctl %s", async (line, text) => {
    const { outcome, requests } = await dashO(line, noMaster);
    expect({ outcome, requests }).toEqual({ outcome: says(255, text), requests: [] });
  });

  it("that say how to connect say which ssh_config counts", async () => {
    const { bodies } = await dashO("-O forward -F none -p 2222 -oClearAllForwardings=no -D 1 db");
    const connection = { configFile: "none", port: 2222, options: ["ClearAllForwardings=no"] };
    expect(bodies("POST /v1/resolve")).toEqual([{ host: "db", connection }]);
    expect(bodies("POST /v1/forwards")).toEqual([{ host: "db", forwards: [dynamic("1")] }]);
  });
});

describe("forward", () => {
  const configured = { "POST /v1/resolve": resolved([remote("81:a:1"), local("80:a:1")]) };

  it("sends each by itself, ssh_config's before the command line's, and remote ones last", async () => {
    const { outcome, sent } = await dashO("-O forward -R 82:b:1 -D 1080 db -L 83:./s", configured);
    expect(outcome).toEqual(says(0));
    expect(sent).toEqual([
      local("80:a:1"),
      dynamic("1080"),
      local("83:./s"),
      remote("81:a:1"),
      remote("82:b:1"),
    ]);
  });

  it("sends none at all under ClearAllForwardings, nor when there are none", async () => {
    const cleared = { "POST /v1/resolve": resolved([local("80:a:1")], true) };
    for (const command of ["forward", "cancel"]) {
      const { outcome, sent } = await dashO(`-O ${command} -L 81:a:1 db`, cleared);
      expect({ outcome, sent }).toEqual({ outcome: says(0), sent: [] });
      expect((await dashO(`-O ${command} db`)).outcome).toEqual(says(0));
    }
  });

  it("opens it to the network with -g", async () => {
    const { bodies } = await dashO("-gO forward -L 80:a:1 db");
    expect(bodies("POST /v1/forwards")).toEqual([
      { host: "db", forwards: [local("80:a:1")], gatewayPorts: true },
    ]);
  });

  it("prints the port that the server chose alone, a line each, and with -q", async () => {
    let next = 41_000;
    const made = () => ({ forwards: [{ ...forward, allocatedPort: next++ }] });
    const answers = { "POST /v1/forwards": made };
    const { outcome } = await dashO("-O forward -R 0:a:1 -R 0:b:1 db", answers);
    expect(outcome).toEqual({ code: 0, out: "41000\n41001\n", err: "" });
    expect((await dashO("-qO forward -R 0:a:1 db", answers)).outcome.out).toBe("41002\n");
  });

  it("goes on after one that failed, says which kind, and fails in the end", async () => {
    const answers = {
      "POST /v1/forwards": ({ forwards: [{ kind, spec }] }: Opening) =>
        kind === "dynamic" ? { forwards: [forward] } : new Refusal("FORWARD_REFUSED", `no ${spec}`),
    };
    const line = "-O forward -R /run/r.sock:a:1 -L 80:a:1 -D 1080 -R 9000:a:1 db";
    const { outcome, sent } = await dashO(line, answers);
    expect(outcome).toEqual(
      says(
        255,
        "mux_client_forward: forwarding request failed: Port forwarding failed",
        "tund: no 80:a:1",
        "mux_client_forward: forwarding request failed: remote port forwarding failed for listen path /run/r.sock",
        "tund: no /run/r.sock:a:1",
        "mux_client_forward: forwarding request failed: remote port forwarding failed for listen port 9000",
        "tund: no 9000:a:1",
        "muxclient: master forward request failed",
      ),
    );
    expect(sent).toHaveLength(4);
    expect((await dashO(`-q ${line}`, answers)).outcome).toEqual(says(255));
  });

  it("fails with the daemon's reason when ssh_config cannot be read", async () => {
    const answers = { "POST /v1/resolve": new Refusal("HOST_CONFIG_FAILED", "Bad configuration option: x") };
    const { outcome, sent } = await dashO("-O forward -L 80:a:1 db", answers);
    expect({ outcome, sent }).toEqual({ outcome: says(255, "Bad configuration option: x"), sent: [] });
  });
});

describe("cancel", () => {
  it("sends each by itself, in forward's order, whole or by its bind part", async () => {
    const answers = { "POST /v1/resolve": resolved([local("80:a:1")]) };
    const { outcome, sent } = await dashO("-O cancel -R 81 -L 8080 db", answers);
    expect(outcome).toEqual(says(0));
    expect(sent).toEqual([local("80:a:1"), local("8080"), remote("81")]);
  });

  it("of what is not there says so and exits with 0, as ssh does", async () => {
    const answers = {
      "POST /v1/forwards/cancel": ({ forwards: [{ spec }] }: Opening) =>
        spec === "1" ? new Refusal("NOT_FOUND", "no such forward") : { forwards: [forward] },
    };
    const { outcome, sent } = await dashO("-O cancel -D 1 -D 2 db", answers);
    expect(outcome).toEqual(
      says(
        0,
        "mux_client_forward: forwarding request failed: port not forwarded",
        "muxclient: master cancel forward request failed",
      ),
    );
    expect(sent).toEqual([dynamic("1"), dynamic("2")]);
    expect((await dashO("-q -O cancel -D 1 db", answers)).outcome).toEqual(says(0));
  });
});

describe("a verb's name", () => {
  it("means the verb where it stands first, and else a host", async () => {
    const check = { host: "list", pid: 7, roundTripMs: 1 };
    const answers = { "GET /v1/masters/list": master, "POST /v1/masters/list/check": check };
    expect((await dashO("-O check list", answers)).outcome).toEqual(says(0, "Master running (pid=7)"));
    expect((await dashO("list -O check", answers)).outcome.code).toBe(2);
  });
});
