// Times of ssh_config that are longer than a timer of Node's can be (24.8 days).
import { afterAll, beforeAll, expect, it } from "vitest";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { at } from "../support/mux.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";
import { freePort } from "../support/free-port.ts";

let tunnel: Tunnel;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

it.each(["ServerAliveInterval", "ConnectTimeout", "RekeyLimit"])(
  "%s of 30 days is not over at once",
  async (name) => {
    const value = name === "RekeyLimit" ? "default 30d" : "30d";
    await tunnel.sshd.addHost(name, { [name]: value, ServerAliveCountMax: 1 });
    const port = await freePort();
    await tunnel.ok("forward", "-L", `${port}:127.0.0.1:${tunnel.echo.port}`, name);
    // A deadline of a millisecond would have ended it long before the last of these has come back.
    const socket = await dialLoopback(port);
    for (let round = 0; round < 100; round++) expect(await echoed(socket, "ping")).toBe("ping");
    socket.destroy();
    const { masters } = JSON.parse(await tunnel.ok("status", "--json", name)) as {
      masters: { state: string; reconnects: number; failure: unknown }[];
    };
    expect(masters).toMatchObject([{ state: "ready", reconnects: 0, failure: null }]);
  },
);

it("ControlPersist of 30 days is not over at once", async () => {
  await tunnel.sshd.addHost("persist", { ControlPersist: "30d" });
  const path = join(tunnel.sshd.directory, "persist");
  expect(await tunnel.tund.tunctl(["-M", "-S", path, "-f", "-N", "persist"])).toMatchObject({
    code: 0,
    stderr: "",
  });
  for (let round = 0; round < 20; round++)
    expect((await at(path, "check")).stderr).toMatch(/^Master running/);
  await at(path, "exit");
  expect(existsSync(path)).toBe(false);
});
