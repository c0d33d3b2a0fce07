// Requests that nobody means: what is refused says why, and leaves nothing behind.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { HELLO, rawClient } from "../support/mux.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

/** Sends bytes and leaves the connection open. */
async function sent(head: string, body: Buffer): Promise<Socket> {
  const socket = connect({ path: tunnel.tund.socket, allowHalfOpen: true });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(Buffer.concat([Buffer.from(head), body])); // one write: the answer may end it before a second
  return socket;
}

const MUCH = Buffer.alloc(128 * 1024, "x"); // more than a body may have, and no more than a socket takes in one write
const upgrade = (protocol: string, more = "") =>
  `GET /v1/stdio/none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${more}\r\n`;
const post = (more: string) =>
  `POST /v1/forwards HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${MUCH.length}\r\n${more}\r\n`;

describe("a request that is refused", () => {
  it.each([
    ["an upgrade to nothing that there is", upgrade("websocket"), "404"],
    ["a ticket that is not good", upgrade("tund-stdio"), "404"],
    ["an upgrade of a browser's", upgrade("tund-stdio", "Origin: http://a\r\n"), "404"],
    ["a body of a browser's", post("Origin: http://a\r\n"), "403"],
    ["a body that is too large", post(""), "413"],
  ])("leaves no descriptor open, though more came behind it: %s", async (_, head, status) => {
    const before = tunnel.tund.fds();
    const sockets = await Promise.all(Array.from({ length: 20 }, () => sent(head, MUCH)));
    for (const socket of sockets) {
      const [answer] = (await once(socket, "data")) as [Buffer];
      expect(answer.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      socket.destroy();
    }
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(before));
  });

  it("is let go though its client neither reads nor hangs up", async () => {
    const before = tunnel.tund.fds();
    const sockets = await Promise.all(
      Array.from({ length: 20 }, async () => (await sent(upgrade("websocket"), MUCH)).pause()),
    );
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(before));
    for (const socket of sockets) socket.destroy();
  });

  it("is let go by a mux socket whose master ends, with whoever is connected", async () => {
    const path = join(tunnel.sshd.directory, "mux-end");
    await tunnel.sshd.addHost("mux-end");
    const before = tunnel.tund.fds();
    await tunnel.ok("connect", "-S", path, "mux-end");
    const clients = await Promise.all(Array.from({ length: 5 }, () => rawClient(path)));
    for (const { socket } of clients) {
      socket.write(HELLO);
      socket.pause();
    }
    await tunnel.ok("exit", "mux-end");
    await eventually(() => expect(tunnel.tund.fds()).toBeLessThanOrEqual(before));
    for (const { socket } of clients) socket.destroy();
  });
});

const NUL = "a\0b";
const call = async (method: string, url: string, body?: object) => {
  const text = body === undefined ? "" : JSON.stringify(body);
  const socket = await sent(
    `${method} ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
      (body === undefined
        ? "\r\n"
        : `Content-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`),
    Buffer.from(text),
  );
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return { status: Number(answer.split(" ")[1]), message: /"message":"([^"]*)"/.exec(answer)?.[1] ?? answer };
};

const host = "testhost";
const spec = [{ kind: "local", spec: "8080:a:80" }];
const connections = {
  configFile: NUL,
  options: ["Port=22", NUL],
  user: NUL,
  identityFiles: [NUL],
  jump: NUL,
  controlPath: NUL,
};

describe("a NUL in a request", () => {
  it.each([
    ["GET", "/v1/masters/a%00b", "host", undefined],
    ["PUT", "/v1/masters/a%00b", "host", {}],
    ["GET", "/v1/forwards?host=a%00b", "host", undefined],
    ["GET", "/v1/events?host=a%00b", "host", undefined],
    ["POST", "/v1/resolve", "host", { host: NUL }],
    ["POST", "/v1/forwards", "host", { host: NUL, forwards: spec }],
    ["POST", "/v1/forwards", "spec", { host, forwards: [{ kind: "local", spec: `8080:${NUL}:80` }] }],
    ["POST", "/v1/forwards", "name", { host, forwards: spec, name: NUL }],
    ["POST", "/v1/forwards", "agent", { host, forwards: spec, caller: { agent: `/${NUL}` } }],
    ["POST", "/v1/forwards/cancel", "spec", { host, forwards: [{ kind: "local", spec: NUL }] }],
    ["POST", "/v1/stdio", "host", { host: NUL, destination: "a:1" }],
    ["POST", "/v1/stdio", "destination", { host, destination: `/${NUL}` }],
    ["POST", "/v1/host-keys/scan", "host", { host: NUL }],
    ["POST", "/v1/host-keys", "host", { host: NUL, publicKeys: ["a"] }],
    ["POST", "/v1/doctor", "host", { host: NUL }],
    ...Object.entries(connections).flatMap(([field, value]) => [
      ["POST", "/v1/resolve", field, { host, connection: { [field]: value } }] as const,
      ["POST", "/v1/doctor", field, { host, connection: { [field]: value } }] as const,
      ["PUT", "/v1/masters/testhost", field, { connection: { [field]: value } }] as const,
    ]),
  ] as const)("is a mistake that is named: %s %s, %s", async (method, url, field, body) => {
    const { status, message } = await call(method, url, body);
    expect({ status, message }).toEqual({ status: 400, message: expect.stringContaining(field) as string });
  });
});

describe("a name that every object has", () => {
  it.each(["constructor", "toString", "__proto__", "hasOwnProperty"])(
    "is one like any other: %s",
    async (name) => {
      const port = await freePort();
      const failed = await tunnel.tund.tunctl(["forward", "-L", `${name}:${port}:x:80`, "testhost"]);
      expect(failed).toMatchObject({ code: 1, stdout: "" });
      expect(failed.stderr).toContain(`cannot resolve the bind address ${name}`);
      await tunnel.ok("forward", "-L", `${port}:${name}:80`, "testhost");
      await tunnel.ok("cancel", "-L", String(port), "testhost");
      const unset = await tunnel.tund.tunctl(["forward", "-L", `${port}:\${${name}}:80`, "testhost"]);
      expect(unset).toMatchObject({ code: 2 });
      expect(unset.stderr).toContain("which is not set in the environment");
      for (const option of [
        `BindInterface=${name}`,
        `IdentityAgent=$${name}`,
        `PreferredAuthentications=${name}`,
      ])
        expect(
          (await tunnel.tund.tunctl(["connect", "-o", option, "-o", "LogLevel=ERROR", "testhost"])).stderr,
        ).not.toMatch(/INTERNAL|inside|is not a function/);
    },
  );
});
