import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Value } from "typebox/value";
import { hearEvents } from "../../cli/event-stream.ts";
import { contract } from "../../shared/contract.ts";
import type { Event } from "../../shared/records.ts";
import { routes, type Verb } from "../../shared/routes.ts";
import { atPath } from "../support/at-path.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { type InProcess, startInProcess } from "../support/in-process.ts";
import { type SshServer, startSshServer } from "../support/ssh-server.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";

let server: SshServer;
let echo: LoopbackServer;
let tund: InProcess;

beforeAll(async () => {
  server = await startSshServer();
  echo = await echoServer();
  tund = await startInProcess(server.sshConfig);
});
afterAll(async () => {
  await tund.close();
  await echo.close();
  await server.close();
});

/** What the daemon answers to these very bytes: status line and body. */
async function raw(
  bytes: string,
  then = "",
): Promise<{ status: number; text: string; body: { code: string; message: string } }> {
  const socket = connect({ path: tund.socket, allowHalfOpen: true });
  await once(socket, "connect");
  socket.on("error", () => undefined); // refused before all was written
  if (then === "") socket.write(bytes);
  else socket.end(bytes + then);
  socket.on("end", () => socket.end());
  let text = "";
  socket.on("data", (chunk) => (text += String(chunk)));
  await new Promise((resolve) => socket.once("close", resolve)); // not once(): an error before it would throw
  const body = text.slice(text.indexOf("\r\n\r\n") + 4);
  return {
    status: Number(text.split(" ")[1]),
    text,
    body: JSON.parse(body.startsWith("{") ? body : "null") as { code: string; message: string },
  };
}

const post = (url: string, body: string, headers = "") =>
  raw(
    `POST ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n${headers}` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
const get = (url: string, headers = "") =>
  raw(`GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`);

/** What a stream of the daemon begins with: its first line. */
async function firstOf(route: string): Promise<string> {
  const socket = connect(tund.socket);
  socket.write(`${route} HTTP/1.1\r\nHost: x\r\n\r\n`);
  let text = "";
  while (!text.includes("}\n")) text += String((await once(socket, "data"))[0]);
  socket.destroy();
  return text;
}

describe("the control API", () => {
  it("serves every verb that the table has to the typed client", async () => {
    const { client } = tund;
    const used = new Set<Verb>();
    const call: typeof client.call = async (verb, input) => {
      used.add(verb);
      const answer = await client.call(verb, input);
      // Nothing takes away at run time what the contract does not have.
      expect(Value.Errors(contract[verb].response[200], answer), verb).toEqual([]);
      return answer;
    };
    const port = await freePort();
    const local = (bind: number) => ({ kind: "local" as const, spec: `${bind}:127.0.0.1:${echo.port}` });

    expect(await call("connectMaster", { params: { host: "fake" }, body: {} })).toMatchObject({
      state: "ready",
      host: "fake",
    });
    const { forwards } = await call("openForwards", { body: { host: "fake", forwards: [local(port)] } });
    const id = forwards[0]?.id ?? "";
    expect(forwards).toMatchObject([
      { host: "fake", state: "active", spec: `${port}:127.0.0.1:${echo.port}` },
    ]);
    expect((await call("listForwards", { querystring: { host: "fake" } })).forwards).toHaveLength(1);
    expect(await call("getForward", { params: { id } })).toMatchObject({
      id,
      boundTo: [`127.0.0.1:${port}`, `[::1]:${port}`],
    });
    expect((await call("getStatus", {})).masters).toMatchObject([{ names: ["fake"], forwards: 1 }]);
    expect((await call("listMasters", {})).masters).toHaveLength(1);
    expect(await call("getMaster", { params: { host: "fake" } })).toMatchObject({
      port: server.port,
      reconnects: 0,
    });
    expect((await call("checkMaster", { params: { host: "fake" } })).roundTripMs).toBeGreaterThan(0);
    expect(await call("cancelForward", { params: { id } })).toMatchObject({
      id,
      state: "closed",
      boundTo: [],
    });
    await call("openForwards", { body: { host: "fake", forwards: [local(port)] } });
    expect((await call("cancelForwards", { body: { all: true } })).forwards).toMatchObject([
      { state: "closed" },
    ]);
    expect(await call("resolveHost", { body: { host: "fake" } })).toMatchObject({
      hostname: "127.0.0.1",
      port: server.port,
      forwards: [],
      clearAllForwardings: false,
    });
    const { ticket } = await call("openStdio", {
      body: { host: "fake", destination: `127.0.0.1:${echo.port}` },
    });
    const stdio = await raw(
      `GET /v1/stdio/${ticket} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tund-stdio\r\n\r\n`,
      "sent at once",
    );
    expect(stdio.text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n[^]*\r\n\r\nsent at once$/);
    const again = await raw(
      `GET /v1/stdio/${ticket} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tund-stdio\r\n\r\n`,
    );
    expect(again).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
    expect(await call("stopMaster", { params: { host: "fake" } })).toMatchObject({ state: "closing" });
    await call("connectMaster", { params: { host: "fake-2" }, body: {} });
    expect(await call("reconnectMaster", { params: { host: "fake-2" } })).toMatchObject({ reconnects: 1 });
    expect(await call("exitMaster", { params: { host: "fake-2" } })).toMatchObject({ state: "closed" });
    used.add("getMetrics");
    const metrics = await raw("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect(metrics.text).toMatch(/\r\n\r\n[^]*^tund_info\{version="1\.2\.3"\} 1$/m);
    used.add("watchEvents");
    const heard: Event[] = [];
    await hearEvents(atPath(tund.socket), { hear: (event) => heard.push(event) === 0 });
    expect(heard).toMatchObject([{ type: "snapshot", seq: 0, forwards: [] }]);
    const scanned = await call("scanHostKeys", { body: { host: "fake-2" } });
    expect(scanned.keys).toMatchObject([{ type: "ED25519", verdict: "known" }]);
    const publicKeys = scanned.keys.map(({ publicKey }) => publicKey);
    expect(await call("trustHostKeys", { body: { host: "fake-2", publicKeys } })).toMatchObject({
      host: "fake-2",
    });
    expect((await call("diagnose", { body: { host: "fake-2" } })).findings).toContainEqual(
      expect.objectContaining({ subject: "host key", level: "ok" }),
    );
    used.add("openConversation");
    expect(await firstOf("POST /v1/conversations")).toMatch(/\{"type":"opened","id":"[\w-]{24}"\}\n/);
    await expect(
      call("answerPrompt", { params: { id: "none" }, body: { prompt: 1, answer: "x" } }),
    ).rejects.toMatchObject({ code: "NOT_FOUND" });
    const refusedHold = { hold: "none", pid: 1 };
    await expect(
      call("holdMaster", { params: { host: "testhost" }, body: refusedHold }),
    ).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(call("handOverHold", { params: { id: "none" }, body: { pid: 1 } })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    expect([...used].sort()).toEqual(Object.keys(routes).sort());
    expect(client.daemonVersion).toBe("1.2.3");
  });

  it.each([
    ["a wrong type", { host: 5, forwards: [] }, "body.host must be string"],
    [
      "a number as a string",
      { host: "fake", connection: { port: "22" }, forwards: [] },
      "body.connection.port must be integer",
    ],
    [
      "an unknown field",
      { host: "fake", forwards: [{ kind: "local", spec: "1:a:2" }], colour: "red" },
      "additional properties: colour",
    ],
    [
      "a missing field",
      { forwards: [{ kind: "local", spec: "1:a:2" }] },
      "body must have required property 'host'",
    ],
    ["an empty list", { host: "fake", forwards: [] }, "body.forwards must NOT have fewer than 1 items"],
    [
      "an unknown kind",
      { host: "fake", forwards: [{ kind: "sideways", spec: "1:a:2" }] },
      "body.forwards.0.kind must be equal to one of the allowed values: local, remote, dynamic",
    ],
    [
      "a bad spec",
      { host: "fake", forwards: [{ kind: "local", spec: "1:a" }] },
      "bad local forwarding specification '1:a'",
    ],
    ["a list where an object belongs", [], "body must be object"],
  ])("refuses %s with 400 and the field's name", async (_, body, message) => {
    const answer = await post("/v1/forwards", JSON.stringify(body));
    expect(answer).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
    expect(answer.body.message).toContain(message);
  });

  it("refuses broken JSON, a wrong content type, an unknown query and a missing body with 400", async () => {
    expect(await post("/v1/forwards", "{")).toMatchObject({ status: 400, body: { code: "INVALID_REQUEST" } });
    expect(
      await raw(
        `POST /v1/forwards HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/xml\r\nContent-Length: 2\r\n\r\n<>`,
      ),
    ).toMatchObject({
      status: 400,
      body: { code: "INVALID_REQUEST" },
    });
    expect((await get("/v1/forwards?hots=fake")).body.message).toBe(
      "querystring must NOT have additional properties: hots",
    );
    expect(await raw("PUT /v1/masters/fake HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toMatchObject({
      status: 400,
    });
  });

  it("refuses a body over 64 KiB, and takes one just below", async () => {
    const sized = (bytes: number) => JSON.stringify({ host: "x".repeat(bytes), forwards: [] });
    // Its length is enough: the answer comes before the body has to.
    const announced = await raw(
      "POST /v1/forwards HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n" +
        `Content-Length: ${1 << 20}\r\n\r\n${sized(1000)}`,
    );
    expect(announced).toMatchObject({ status: 413, body: { code: "REQUEST_TOO_LARGE" } });
    const chunk = `8000\r\n${"x".repeat(0x80_00)}\r\n`;
    const chunked = await raw(
      "POST /v1/forwards HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n" +
        `Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}`,
    );
    expect(chunked).toMatchObject({ status: 413, body: { code: "REQUEST_TOO_LARGE" } });
    expect(await post("/v1/forwards", sized(60_000))).toMatchObject({ status: 400 });
  });

  it("refuses a request that a web page made", async () => {
    expect(await get("/v1/status", "Origin: http://evil.example\r\n")).toMatchObject({
      status: 403,
      body: { code: "FORBIDDEN" },
    });
    expect(await get("/v1/status")).toMatchObject({ status: 200 });
  });

  it("says what there is not", async () => {
    expect((await get("/v1/nothing")).body).toEqual({
      code: "NOT_FOUND",
      message: "there is no GET /v1/nothing",
    });
    expect(await get("/v1/forwards/nope")).toMatchObject({
      status: 404,
      body: { message: "no forward nope" },
    });
    expect(await get("/v1/masters/nowhere")).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
    expect(await get("/v1/forwards?host=nowhere")).toMatchObject({ status: 404 });
  });

  it("serves on while half a request hangs, and while a client sends rubbish", async () => {
    const half = connect(tund.socket);
    half.on("error", () => undefined);
    half.write("POST /v1/forwards HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    expect(await get("/v1/status")).toMatchObject({ status: 200 });
    const rubbish = connect(tund.socket);
    rubbish.end("\u0000\u0001 not http at all\r\n\r\n");
    await once(rubbish.resume(), "close");
    expect(await get("/v1/status")).toMatchObject({ status: 200 });
    half.destroy();
  });

  it("takes a host that is a URL, and answers its own fields alone", async () => {
    const host = `ssh://nobody@127.0.0.1:${server.port}`;
    const options = [`UserKnownHostsFile=${server.sshConfig.replace("ssh_config", "known_hosts")}`];
    const identityFiles = [server.sshConfig.replace("ssh_config", "id")];
    const master = await tund.client.call("connectMaster", {
      params: { host },
      body: { connection: { options, identityFiles } },
    });
    expect(master).toMatchObject({ host, user: "nobody", state: "ready" });
    await tund.client.call("exitMaster", { params: { host } });
  });

  it("carries bytes for a forward that was asked for with plain HTTP", async () => {
    const port = await freePort();
    const answer = await post(
      "/v1/forwards",
      JSON.stringify({ host: "fake", forwards: [{ kind: "local", spec: `${port}:127.0.0.1:${echo.port}` }] }),
    );
    expect(answer.status).toBe(200);
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "through the tunnel")).toBe("through the tunnel");
    socket.destroy();
  });
});
