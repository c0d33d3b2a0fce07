// What goes wrong between tunctl and the daemon, and how it is told.
import { createServer } from "node:http";
import { createServer as createSocket } from "node:net";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Client } from "../../cli/client.ts";
import { errors } from "../../shared/errors.ts";
import { version } from "../../shared/version.ts";
import { atPath } from "../support/at-path.ts";
import { controlSocket, listening, saying, tunctl } from "../support/canned-daemon.ts";

const checked = JSON.stringify({ host: "db", pid: 1, roundTripMs: 1 });
const failing = (message: string, code: number) => ({ code, out: "", err: `tunctl: ${message}\n` });
const howToStart =
  "start it with 'tund' (or 'tund &'), or say where it listens with --socket PATH or TUND_SOCKET";

const isRoot = process.getuid?.() === 0;

describe("a failure that the daemon tells", () => {
  it.each(Object.entries(errors))(
    "with code %s is one line and its exit code",
    async (code, { status, exit }) => {
      const socket = await saying(status, JSON.stringify({ code, message: "this\nand that" }));
      const expected = failing("this and that", exit);
      expect(await tunctl(["--socket", socket, "check", "db"])).toEqual(expected);
      expect(await tunctl(["--socket", socket, "check", "db", "--json", "-q"])).toEqual(expected);
    },
  );

  it("with a code from the future exits with 1 and keeps the code", async () => {
    const socket = await saying(
      418,
      JSON.stringify({ code: "TEAPOT", message: "short", details: { cups: 0 } }),
    );
    expect(await tunctl(["--socket", socket, "check", "db"])).toEqual(failing("short", 1));
    await expect(new Client(atPath(socket)).call("listMasters", {})).rejects.toMatchObject({
      code: "INTERNAL",
      details: { cups: 0, code: "TEAPOT" },
    });
  });

  it("reaches callers of the client with its code and details", async () => {
    const body = { code: "BIND_IN_USE", message: "taken", details: { holder: "nginx" } };
    const client = new Client(atPath(await saying(409, JSON.stringify(body))));
    await expect(client.call("getForward", { params: { id: "f" } })).rejects.toMatchObject({
      name: "TundError",
      ...body,
    });
  });

  it.each([
    [200, "<html>"],
    [200, ""],
    [502, "{}"],
    [500, "null"],
    [500, '{"code":"INTERNAL"}'],
    [200, "{}"],
    [200, "[]"],
    [200, '"active"'],
  ])("with an answer that makes no sense is said to be one: %i %j", async (status, body) => {
    const { code, err } = await tunctl(["--socket", await saying(status, body), "check", "db"]);
    expect(code).toBe(1);
    expect(err).toMatch(new RegExp(String.raw`^tunctl: .*HTTP status ${status}\) makes no sense: .*\n$`));
  });
});

describe("a daemon that cannot be reached", () => {
  it("is told with how to start it, when nothing is there or nobody listens", async () => {
    const [missing, file] = [await controlSocket(), await controlSocket()];
    await writeFile(file, "");
    for (const socket of [missing, file, `${file}/below`])
      expect(await tunctl(["--socket", socket, "list"])).toEqual(
        failing(`no daemon answers on ${socket}: ${howToStart}`, 3),
      );
  });

  if (isRoot) console.warn("skipped: a socket that may not be spoken to, since root may speak to any");
  it.skipIf(isRoot)("is told as one that we may not speak to", async () => {
    const socket = await saying(200, checked);
    await chmod(socket, 0);
    const { code, err } = await tunctl(["--socket", socket, "check", "db"]);
    expect({ code, err }).toEqual({ code: 3, err: expect.stringContaining("no permission") as string });
  });

  it("is told as gone when it goes before it has answered", async () => {
    const silent = await listening(createSocket((socket) => socket.once("data", () => socket.destroy())));
    const halfway = await listening(
      createServer((_, outgoing) => {
        outgoing.writeHead(200, { "content-length": "100" }).write("{");
        setImmediate(() => outgoing.destroy());
      }),
    );
    for (const socket of [silent, halfway])
      expect(await tunctl(["--socket", socket, "check", "db"])).toEqual(
        failing(`the daemon on ${socket} went away before it answered: see its log for why`, 3),
      );
  });

  it("is told as something else when it does not speak HTTP", async () => {
    const socket = await listening(createSocket((peer) => peer.resume().end("SSH-2.0-OpenSSH_9.2\r\n")));
    const { code, err } = await tunctl(["--socket", socket, "check", "db"]);
    expect({ code, err }).toEqual({
      code: 3,
      err: expect.stringMatching(/^tunctl: cannot speak to the daemon on .*\n$/) as string,
    });
  });

  it("does not fail `version`, unlike one that refuses", async () => {
    const argv = ["--socket", await controlSocket(), "version"];
    expect(await tunctl(argv)).toEqual({ code: 0, out: `tunctl ${version}\n`, err: "" });
    expect((await tunctl([...argv, "-v"])).out).toBe(`tunctl ${version}\ntund is not reachable\n`);
    expect(JSON.parse((await tunctl([...argv, "--json"])).out)).toEqual({ tunctl: version, tund: null });
    const refusing = await saying(403, JSON.stringify({ code: "FORBIDDEN", message: "no" }));
    const { err, code } = await tunctl(["--socket", refusing, "version", "-v"]);
    expect({ err, code }).toEqual({ err: `tunctl: speaking to tund on ${refusing}\ntunctl: no\n`, code: 1 });
  });
});

describe("the control socket", () => {
  it("is --socket's, else TUND_SOCKET's, else the first default that exists, else the first", async () => {
    const socket = await saying(200, checked);
    const absent = { XDG_RUNTIME_DIR: "/nowhere/run", TUND_STATE_DIR: "/nowhere/state" };
    const env = { ...absent, TUND_STATE_DIR: join(socket, "..", "..") };
    expect(
      (await tunctl(["check", "db", "--socket", socket], { env: { TUND_SOCKET: "/nowhere" } })).code,
    ).toBe(0);
    expect((await tunctl(["check", "db"], { env: { ...absent, TUND_SOCKET: socket } })).code).toBe(0);
    expect((await tunctl(["check", "db"], { env })).code).toBe(0);
    expect((await tunctl(["check", "db"], { env: absent })).err).toContain(
      "on /nowhere/run/tund/tund.sock: ",
    );
  });

  it("is refused when its path is too long for one", async () => {
    const { code, err } = await tunctl(["check", "db", "--socket", `/${"x".repeat(200)}`]);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining("more than 10") as string });
  });
});

describe("a daemon of another version", () => {
  const difference = `tund is 9.9.9, this tunctl ${version}`;

  it("is warned of, unless -q", async () => {
    const socket = await saying(200, checked, "9.9.9");
    expect(await tunctl(["--socket", socket, "check", "db"])).toMatchObject({
      code: 0,
      err: `tunctl: warning: ${difference}: restart tund, or update tunctl\n`,
    });
    expect((await tunctl(["--socket", socket, "check", "db", "-q"])).err).toBe("");
  });

  it("is named in the one line of a failure", async () => {
    const socket = await saying(404, JSON.stringify({ code: "NOT_FOUND", message: "gone" }), "9.9.9");
    expect(await tunctl(["--socket", socket, "check", "db"])).toEqual(failing(`gone (${difference})`, 4));
  });
});

describe("the client", () => {
  it("makes many calls at once, and keeps no connection", async () => {
    let open = 0;
    const server = createServer((_, outgoing) => void outgoing.end(checked));
    server.on("connection", (socket) => {
      open++;
      socket.once("close", () => open--);
    });
    const client = new Client(atPath(await listening(server)));
    const calls = Array.from({ length: 50 }, () => client.call("checkMaster", { params: { host: "db" } }));
    expect(await Promise.all(calls)).toEqual(
      Array.from({ length: 50 }, () => JSON.parse(checked) as unknown),
    );
    await expect.poll(() => open).toBe(0);
  });
});
