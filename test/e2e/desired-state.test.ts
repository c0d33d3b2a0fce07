// What was asked for outlives the daemon, however it ends.
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startHome } from "../support/home.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { refuses, works } from "../support/tcp.ts";
import type { Forward } from "../../shared/records.ts";

let sshd: Sshd;
let echo: LoopbackServer;
const to = () => `127.0.0.1:${echo.port}`;
const home = () => startHome({ TUND_SSH_CONFIG: sshd.sshConfig });

beforeAll(async () => {
  sshd = await startSshd();
  echo = await echoServer();
});
afterAll(async () => {
  await echo?.close();
  await sshd?.stop();
});

describe("what was asked for", () => {
  it.each(["SIGTERM", "SIGKILL"] as const)(
    "is back after %s, with its ids, its names, its options and its port",
    async (signal) => {
      const { state, saved, start } = await home();
      const first = await start();
      const [a, b] = [await freePort(), await freePort()];
      await first.ok("forward", "--name", "web", "-L", `${a}:${to()}`, "testhost");
      await first.ok("forward", "-D", String(b), "testhost");
      const chosen = await first.ok("forward", "-R", `0:${to()}`, "testhost");
      const other = await freePort();
      await first.ok(
        "forward",
        "-o",
        "ServerAliveInterval=7",
        "-L",
        `${other}:${to()}`,
        `root@127.0.0.1`,
        ...sshOptions(),
      );
      await first.ok("forward", "--ephemeral", "-L", `${await freePort()}:${to()}`, "testhost");
      await first.ok("connect", "testhost");
      const before = (await first.forwards()).filter(({ persistent }) => persistent);
      expect(before).toHaveLength(4);
      expect(statSync(state).mode & 0o777).toBe(0o600);
      expect(saved()).toMatchObject({
        version: 1,
        hosts: [{ host: "testhost", kept: true }, { kept: false }],
      });
      await first.stop(signal);

      const second = await start();
      await eventually(async () => {
        const after = await second.forwards();
        const told = (forward: Forward) => ({
          id: forward.id,
          name: forward.name,
          host: forward.host,
          spec: forward.spec,
          state: forward.state,
          allocatedPort: forward.allocatedPort,
          boundTo: forward.boundTo,
          persistent: forward.persistent,
        });
        const byId = (x: Forward, y: Forward) => (x.id < y.id ? -1 : 1);
        expect(after.sort(byId).map(told)).toEqual(before.sort(byId).map(told));
      });
      for (const port of [a, other, Number(chosen)]) await works(port);
      expect(await second.masters()).toMatchObject([{ kept: true }, { kept: false }]);
      // And a second time: nothing was lost on the way.
      await second.stop(signal);
      const third = await start();
      await eventually(() => works(a));
      await third.ok("cancel", "web");
      expect(saved().hosts).toMatchObject([{ forwards: [{}, {}] }, {}]);
    },
  );

  it("has the name that it was given by a command that keeps nothing itself", async () => {
    const { saved, start } = await home();
    const tund = await start();
    const spec = `${await freePort()}:${to()}`;
    await tund.ok("forward", "-L", spec, "testhost");
    await tund.ok("forward", "--ephemeral", "--name", "later", "-L", spec, "testhost");
    expect(saved().hosts).toMatchObject([{ forwards: [{ name: "later" }] }]);
  });

  it("is forgotten when it is cancelled, stopped or exited, and not before that is on disk", async () => {
    const { state, saved, start } = await home();
    const tund = await start();
    const ports = [await freePort(), await freePort()] as const;
    await tund.ok("forward", "-L", `${ports[0]}:${to()}`, "-L", `${ports[1]}:${to()}`, "testhost");
    await tund.ok("cancel", "-L", String(ports[0]), "testhost");
    expect(saved().hosts).toMatchObject([{ forwards: [{ spec: `${ports[1]}:${to()}` }] }]);
    // The state directory becomes a file: nothing can be saved, so nothing is done.
    const directory = join(state, "..");
    await rename(directory, `${directory}.aside`);
    writeFileSync(directory, "");
    const refusals = [
      ["cancel", "-L", String(ports[1]), "testhost"],
      ["exit", "testhost"],
      ["stop", "testhost"],
      ["connect", "testhost"],
      ["forward", "-L", `${await freePort()}:${to()}`, "testhost"],
    ];
    for (const args of refusals) {
      const { code, stderr } = await tund.tunctl(args);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("cannot save") as string });
    }
    await works(ports[1]);
    expect(await tund.forwards()).toMatchObject([{ spec: `${ports[1]}:${to()}`, persistent: true }]);
    await rm(directory);
    await rename(`${directory}.aside`, directory);
    await tund.ok("exit", "testhost");
    expect(saved().hosts).toEqual([]);
  });

  it("is set aside when the file is damaged, newer, or none of ours, and the daemon starts", async () => {
    const { state, start } = await home();
    const files = {
      damaged: ["", "{", "null", "[]", '{"version":1,"hosts":[{"host":7}]}', "\0\0\0\0"],
      newer: ['{"version":2,"hosts":"another shape"}'],
    };
    await mkdir(join(state, ".."), { mode: 0o700 });
    for (const [what, texts] of Object.entries(files))
      for (const text of texts) {
        writeFileSync(state, text);
        const tund = await start();
        expect(await tund.forwards()).toEqual([]);
        expect(tund.log()).toContain(`the state file was ${what}`);
        expect(existsSync(state)).toBe(false);
        const aside = readdirSync(join(state, "..")).filter((name) => name.startsWith(`state.json.${what}-`));
        expect(aside).toHaveLength(1);
        expect(readFileSync(join(state, "..", aside[0] ?? ""), "utf8")).toBe(text);
        await tund.stop();
        await rm(join(state, "..", aside[0] ?? ""));
      }
  });

  it("belongs to one daemon at a time", async () => {
    const { start } = await home();
    const first = await start();
    const socket = join(first.home, "other.sock");
    await expect(start({ TUND_SOCKET: socket })).rejects.toThrow(/another tund uses the state directory/);
    expect(existsSync(socket)).toBe(false);
    expect(await first.forwards()).toEqual([]);
    // One that was killed holds it no longer.
    await first.stop("SIGKILL");
    expect(await (await start({ TUND_SOCKET: socket })).forwards()).toEqual([]);
  });

  it("waits for a host that ssh_config knows no way to yet, and for one that refuses us", async () => {
    const { start } = await home();
    const first = await start();
    const port = await freePort();
    await first.ok("forward", "-L", `${port}:${to()}`, "testhost");
    const [{ id } = { id: "" }] = await first.forwards();
    await first.stop();
    // ssh cannot read it: nothing is known of the host but its name.
    const broken = join(sshd.directory, "broken_config");
    writeFileSync(broken, "Host testhost\n  Prot 22\n");
    const second = await start({ TUND_SSH_CONFIG: broken });
    await eventually(async () =>
      expect(await second.masters()).toMatchObject([
        { host: "testhost", failure: { code: "HOST_CONFIG_FAILED" } },
      ]),
    );
    expect(await second.forwards()).toMatchObject([{ id, state: "pending" }]);
    expect(await refuses(port)).toBe(true);
    writeFileSync(broken, readFileSync(sshd.sshConfig));
    await second.ok("reconnect", "testhost");
    expect(await second.forwards()).toMatchObject([{ id, state: "active" }]);
    await works(port);
  });
});

const sshOptions = (): string[] =>
  [
    ["-F", "none"],
    ["-p", String(sshd.port)],
    ["-i", sshd.identity],
    ["-o", "IdentityAgent=none"],
    ["-o", "IdentitiesOnly=yes"],
    ["-o", `UserKnownHostsFile=${sshd.knownHosts}`],
  ].flat();
