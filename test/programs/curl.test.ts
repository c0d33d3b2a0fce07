// curl through every kind of proxy that a dynamic forward is.
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, it } from "vitest";
import { pseudoRandom } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";
import { describeWith, isThere } from "./program.ts";

const SIZE = 5_000_000;

describeWith({ curl: isThere("curl") })("curl", () => {
  let tunnel: Tunnel;
  let port = 0;
  let path = "";
  // What is put is measured, what is got is pseudo-random.
  const web = createServer((request, answer) => {
    const hash = createHash("sha256");
    request.on("data", (chunk: Buffer) => void hash.update(chunk));
    request.once("end", () =>
      request.method === "PUT"
        ? answer.end(hash.digest("hex"))
        : Readable.from(pseudoRandom(SIZE)).pipe(answer.setHeader("Host-Asked", request.headers.host ?? "")),
    );
  });
  let url = "";
  const expected = () => {
    const hash = createHash("sha256");
    for (const chunk of pseudoRandom(SIZE)) hash.update(chunk);
    return hash.digest("hex");
  };

  beforeAll(async () => {
    web.listen(0, "127.0.0.1");
    await once(web, "listening");
    url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/`;
    tunnel = await startTunnel();
    port = await freePort();
    path = join(tunnel.sshd.directory, "socks");
    await tunnel.ok("forward", "-D", String(port), "-D", path, "testhost");
  });
  afterAll(async () => {
    await tunnel?.stop();
    web.close();
  });

  const curl = (...args: string[]) => run("curl", ["--silent", "--show-error", "--noproxy", "", ...args]);
  const byName = () => url.replace("127.0.0.1", "localhost");

  it.each([
    ["SOCKS 4", "socks4", () => url],
    ["SOCKS 4a", "socks4a", byName],
    ["SOCKS 5", "socks5", () => url],
    ["SOCKS 5, the name resolved at the far end", "socks5h", byName],
    ["HTTP CONNECT", "http", byName],
  ])("gets and puts through %s", async (_, scheme, target) => {
    const proxy = [`--proxy`, `${scheme}://127.0.0.1:${port}`, "--proxytunnel"];
    const file = join(tunnel.sshd.directory, `got-${scheme}`);
    expect(await curl(...proxy, "--output", file, target())).toMatchObject({ code: 0, stderr: "" });
    expect(await run("sha256sum", [file])).toMatchObject({
      stdout: expect.stringContaining(expected()) as string,
    });
    const put = await curl(...proxy, "--upload-file", file, target());
    expect(put).toMatchObject({ code: 0, stdout: expected() });
  });

  it("reaches a dynamic forward on a Unix socket", async () => {
    const { code, stdout } = await curl(
      "--proxy",
      `socks5h://localhost${path}`,
      "--head",
      "--request",
      "GET",
      byName(),
    );
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining("Host-Asked: localhost") as string,
    });
  });

  it("names the reason when the destination refuses", async () => {
    const nobody = `http://127.0.0.1:${await freePort()}/`;
    const socks = await curl("--proxy", `socks5://127.0.0.1:${port}`, nobody);
    expect(socks).toMatchObject({ code: 97, stderr: expect.stringContaining("(5)") as string });
    const http = await curl("--proxy", `http://127.0.0.1:${port}`, "--proxytunnel", nobody);
    expect(http).toMatchObject({ code: 56, stderr: expect.stringMatching(/50\d/) as string });
  });
});
