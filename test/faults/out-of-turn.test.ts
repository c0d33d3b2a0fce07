// What a server says when it is not its turn, and more than anybody can want of it.
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { sshString, uint32 } from "../../daemon/wire-format.ts";
import { type RawServerOptions, say } from "../support/raw-server.ts";
import { rawServer, sshdWith, startBeside } from "./beside.ts";

describe("a server that asks, or answers, what is not its turn", () => {
  const USERAUTH_FAILURE = Buffer.concat([Buffer.from([51]), sshString("publickey"), Buffer.from([0])]);

  async function attempt(options: RawServerOptions): Promise<{ said: string; code: number | null }> {
    const server = await rawServer(options);
    const { tund, harm } = await startBeside(server.sshConfig);
    const { code, stderr } = await tund.tunctl(["connect", "raw"]);
    expect(await harm()).toBeNull();
    return { code, said: stderr };
  }

  it("by refusing a request that was not made is let go", async () => {
    const { said } = await attempt({
      onAuthentication: (context, client) => {
        for (let times = 0; times < 3; times++) say(client, USERAUTH_FAILURE);
        context.reject(["publickey"]);
      },
    });
    expect(said).toMatch(/that was not made|authentication failed/);
  });

  it("by speaking of channels before the login is let go", async () => {
    const request = Buffer.concat([Buffer.from([80]), sshString("keepalive@openssh.com"), Buffer.from([1])]);
    const { code, said } = await attempt({
      onAuthentication: (_context, client) => say(client, request),
    });
    expect({ code, said }).toMatchObject({
      code: 1,
      said: expect.stringContaining("before authentication") as string,
    });
  });

  it("by more than 64 KiB of banners is let go", async () => {
    const banner = Buffer.concat([Buffer.from([53]), sshString("x".repeat(30_000)), sshString("")]);
    const { code, said } = await attempt({
      onAuthentication: (_context, client) => {
        for (let times = 0; times < 100; times++) say(client, banner);
      },
    });
    expect({ code, said }).toMatchObject({ code: 1, said: expect.stringContaining("64 KiB") as string });
  });

  it("by a million prompts is let go before there is room made for them", async () => {
    const request = Buffer.concat([
      Buffer.from([60]),
      sshString(""),
      sshString(""),
      sshString(""),
      uint32(30_000_000),
    ]);
    const server = await rawServer({
      onAuthentication: (context, client) => {
        if (context.method === "none") context.reject(["keyboard-interactive"]);
        else say(client, request);
      },
    });
    const { tund, harm } = await startBeside(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "raw"]);
    expect(await tunctl.end).toBe(1);
    expect(tunctl.shown()).toContain("more than 64 prompts");
    expect(await harm()).toBeNull();
  });

  it("by asking again before it has an answer is let go, and its questions are not kept", async () => {
    const prompt = Buffer.concat([sshString("Code: "), Buffer.from([1])]);
    const request = Buffer.concat([
      Buffer.from([60]),
      sshString(""),
      sshString(""),
      sshString(""),
      uint32(1),
      prompt,
    ]);
    const server = await rawServer({
      onAuthentication: (context, client) => {
        if (context.method === "none") context.reject(["keyboard-interactive"]);
        else for (let times = 0; times < 10_000; times++) say(client, request);
      },
    });
    const { tund, harm } = await startBeside(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "raw"]);
    expect(await tunctl.end).toBe(7); // somebody was asked: nobody is asked again by itself
    expect(tunctl.shown()).toContain("it asked something else before it had an answer");
    expect(await harm()).toBeNull();
  });

  it("by calling every factor a partial success is let go after ten of them", async () => {
    let tries = 0;
    const server = await rawServer({
      onAuthentication: (context) => {
        const isPartial = context.method !== "none";
        if (isPartial) tries++;
        context.reject(["keyboard-interactive"], isPartial);
      },
    });
    const { tund, harm } = await startBeside(server.sshConfig);
    const tunctl = tund.atTerminal(["connect", "raw"]);
    expect(await tunctl.end).toBe(7);
    expect(tunctl.shown()).toContain("more than 10 factors");
    expect(tries).toBe(11);
    expect(await harm()).toBeNull();
  });

  it("by taking a key that it was not asked about is let go, and nothing is signed", async () => {
    const sshd = await sshdWith();
    const other = Buffer.concat([
      Buffer.from([60]),
      sshString("ssh-rsa"),
      sshString(Buffer.from("another key")),
    ]);
    let signed = 0;
    const server = await rawServer({
      onAuthentication: (context, client) => {
        if (context.method !== "publickey") return context.reject(["publickey"]);
        if (context.signature !== undefined) signed++;
        for (let times = 0; times < 5; times++) say(client, other);
        return undefined;
      },
    });
    await server.addHost("keyed", { IdentityFile: sshd.identity, IdentitiesOnly: "yes" });
    const { tund, harm } = await startBeside(server.sshConfig);
    const { stderr } = await tund.tunctl(["connect", "keyed"]);
    expect(stderr).toContain("it accepted a key that it was not asked about");
    expect(signed).toBe(0);
    expect(await harm()).toBeNull();
  });

  it("by speaking of authentication when it is over begins nothing anew", async () => {
    const server = await rawServer({
      onConnection: (client) =>
        client.on("ready", () => {
          for (let times = 0; times < 100; times++) say(client, USERAUTH_FAILURE);
        }),
    });
    const { tund, harm } = await startBeside(server.sshConfig);
    expect(await tund.tunctl(["connect", "raw"])).toMatchObject({ code: 0 });
    expect(await tund.tunctl(["check", "raw"])).toMatchObject({ code: 0 });
    expect(server.connections()).toBe(1);
    expect(await harm()).toBeNull();
  });
});

describe("a server that asks for more than it reads", () => {
  const flood = (payload: Buffer): RawServerOptions => ({
    onConnection: (client) =>
      client.on("ready", () => {
        const { _sock: socket } = client as unknown as { _sock: Socket };
        socket.pause();
        const again = () => {
          for (let times = 0; times < 500 && socket.writable; times++) say(client, payload);
          if (socket.writable) setImmediate(again);
        };
        again();
      }),
  });
  const name = "unheard-of@example.com";

  it.each([
    ["global requests", Buffer.concat([Buffer.from([80]), sshString(name), Buffer.from([1])])],
    [
      "channels",
      Buffer.concat([Buffer.from([90]), sshString(name), uint32(1), uint32(1 << 20), uint32(1 << 15)]),
    ],
    ["messages that say nothing", Buffer.concat([Buffer.from([2]), sshString("")])],
  ])("of %s is not read faster than 1,000 in a second, and harms nobody", async (_what, payload) => {
    const server = await rawServer(flood(payload));
    const { tund, harm } = await startBeside(server.sshConfig);
    await tund.tunctl(["connect", "raw"]);
    const before = await memory(tund.pid);
    for (let times = 0; times < 20; times++) expect(await harm()).toBeNull();
    expect((await memory(tund.pid)) - before).toBeLessThan(64);
    expect(await tund.tunctl(["exit", "raw"])).toMatchObject({ code: 0 });
  });
});

/** Resident, in MiB. */
async function memory(pid: number): Promise<number> {
  const [, pages = "0"] = (await readFile(`/proc/${pid}/statm`, "latin1")).split(" ");
  return (Number(pages) * 4096) / 1024 ** 2;
}
