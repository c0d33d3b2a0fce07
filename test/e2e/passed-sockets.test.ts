// The control socket that systemd listens on (sd_listen_fds(3)): whatever is not private is refused, with and without the
// compiled file, which tells who connects.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Client } from "../../cli/client.ts";
import { nativeFile } from "../../shared/native/load.ts";
import { atPath } from "../support/at-path.ts";
import { eventually } from "../support/eventually.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";

const native = nativeFile(process.platform, process.arch);
let alone: TempDir;

beforeAll(async () => {
  alone = await tempDir();
  cpSync("dist", join(alone.path, "dist"), { recursive: true, filter: (name) => !name.endsWith(".node") });
  symlinkSync(resolve("node_modules"), join(alone.path, "node_modules"));
});
afterAll(() => alone?.remove());

if (!existsSync(join("dist", native)))
  console.log(`skipped: passed sockets with the compiled file: no ${native}`);
const programs = [
  ...(existsSync(join("dist", native)) ? [["with the compiled file", () => resolve("dist")] as const] : []),
  ["without the compiled file", () => join(alone.path, "dist")] as const,
];

// Listens, and passes that on as systemd does. It does nothing beside it, so that nobody but tund accepts.
const PASSER = `const { what, tund } = JSON.parse(process.argv[1]);
const { spawnSync } = require("node:child_process");
const pass = (fd) => {
  const command = 'LISTEN_PID=$$ exec "$0" "$1"';
  const stdio = ["ignore", "inherit", "inherit", fd];
  process.exit(spawnSync("sh", ["-c", command, process.execPath, tund], { stdio }).status ?? 99);
};
if (what.open) pass(require("node:fs").openSync(what.open, "r+"));
const server = require("node:net").createServer().listen(what, () => {
  if (what.mode) require("node:fs").chmodSync(what.path, what.mode);
  console.log(JSON.stringify(server.address()));
  pass(server._handle.fd);
});`;

/** What is passed on. */
type Passed = { port: number; host: string } | { path: string; mode?: number } | { open: string };

/** Starts tund with it. */
async function start(dist: string, what: Passed, socket: string) {
  const home = await tempDir();
  const own = { HOME: home.path, TUND_SOCKET: socket, LISTEN_FDS: "1", TUND_LOG_FORMAT: "json" };
  const argument = JSON.stringify({ what, tund: join(dist, "tund.cjs") });
  const passer = spawn(process.execPath, ["-e", PASSER, argument], {
    env: { PATH: process.env["PATH"], ...own },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(async () => {
    try {
      process.kill(-(passer.pid ?? 0), "SIGKILL"); // tund too, which is of its group
    } catch {
      // all have ended
    }
    await home.remove();
  });
  const said = { out: "", err: "" };
  passer.stdout.on("data", (chunk: Buffer) => (said.out += chunk.toString()));
  passer.stderr.on("data", (chunk: Buffer) => (said.err += chunk.toString()));
  return { end: once(passer, "close") as Promise<[number]>, log: () => said.err, listening: () => said.out };
}

/** A path for a socket, in a directory as systemd's DirectoryMode= makes it. */
async function socketIn(mode: number): Promise<string> {
  const temp = await tempDir();
  onTestFinished(() => temp.remove());
  const path = join(temp.path, "d");
  mkdirSync(path);
  chmodSync(path, mode);
  return join(path, "tund.sock");
}

const REFUSED = "tund: the control socket that was passed as descriptor 3";

const UNASKED = "and without the compiled file nobody is asked who they are";

describe.each(programs)("%s", (name, dist) => {
  const knowsPeers = name.startsWith("with the");

  it.each(["127.0.0.1", "::1"])("TCP on %s is refused, and who waits already is not served", async (host) => {
    const { end, log, listening } = await start(dist(), { port: 0, host }, await socketIn(0o700));
    const { port } = JSON.parse(await eventually(() => listening() || false)) as { port: number };
    const client = connect(port, host);
    let heard = "";
    client.on("error", () => undefined).on("data", (chunk: Buffer) => (heard += chunk.toString()));
    client.write("GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect(await end).toEqual([1, null]);
    expect(log()).toBe(`${REFUSED} is no Unix stream socket: give ListenStream= a path\n`);
    client.destroy();
    expect(heard).toBe("");
  });

  it.each([
    ["a file", () => writeFileSync(join(alone.path, "file"), "")],
    ["a pipe", () => spawnSync("mkfifo", [join(alone.path, "file")])],
    ["a device", () => symlinkSync("/dev/null", join(alone.path, "file"))],
  ])("%s is refused", async (_, make) => {
    const path = join(alone.path, "file");
    make();
    onTestFinished(() => rmSync(path));
    const { end, log } = await start(dist(), { open: path }, await socketIn(0o700));
    expect(await end).toEqual([1, null]);
    expect(log()).toContain(`${REFUSED} ${knowsPeers ? "is no Unix stream socket" : "has no path"}`);
  });

  it("a socket of one's own is served", async () => {
    const socket = await socketIn(0o700);
    await start(dist(), { path: socket }, socket);
    const { daemon } = await eventually(() => new Client(atPath(socket)).call("getStatus", {}));
    expect(daemon.socket).toBe(socket);
  });

  it.each([0o755, 0o700])(
    "one that all may connect to, in a directory of mode %o, is served where that is private",
    async (mode) => {
      const socket = await socketIn(mode);
      const refused = `${REFUSED} is open to others at ${socket}, ${UNASKED}: set SocketMode=0600\n`;
      const isPrivate = mode === 0o700 || knowsPeers;
      const started = await start(dist(), { path: socket, mode: 0o666 }, socket);
      expect(await outcomeOf(started)).toBe(isPrivate ? "ready" : refused);
    },
  );

  it("one in a directory that all share is refused: mux sockets would lie beside it", async () => {
    const socket = await socketIn(0o1777);
    const { end, log } = await start(dist(), { path: socket, mode: 0o600 }, socket);
    expect(await end).toEqual([1, null]);
    expect(log()).toContain(`others may write in ${dirname(socket)} (mode 1777)`);
  });

  it("one in the abstract namespace is served where it is known who connects", async () => {
    const path = `\0tund-test-${process.pid}-${name.length}`;
    const refused = `${REFUSED} has no path that can be told, ${UNASKED}: give ListenStream= a path\n`;
    const started = await start(dist(), { path }, await socketIn(0o700));
    expect(await outcomeOf(started)).toBe(knowsPeers ? "ready" : refused);
  });
});

/** What tund says when it does not start, or that it is ready. */
const outcomeOf = ({ end, log }: Awaited<ReturnType<typeof start>>): Promise<string> =>
  Promise.race([
    end.then(() => log()),
    eventually(() => log().includes("tund is ready")).then(() => "ready"),
  ]);
