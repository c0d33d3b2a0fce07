// Diffie-Hellman group exchange (RFC 4419) with a real server.
import { describe, expect, it, onTestFinished } from "vitest";
import { sourceServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { dialLoopback, readAll } from "../support/tcp.ts";
import { sshdWith, startBeside } from "./beside.ts";

describe("group exchange", () => {
  it("goes by the groups of a real server, at the login and for new keys", async () => {
    const sshd = await sshdWith(["KexAlgorithms diffie-hellman-group-exchange-sha256"]);
    await sshd.addHost("gex", { RekeyLimit: "16M" });
    const { tund, harm } = await startBeside(sshd.sshConfig);
    const source = await sourceServer(64 * 1024 ** 2);
    onTestFinished(() => source.close());
    const port = await freePort();
    const made = await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${source.port}`, "gex"]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect((await readAll(await dialLoopback(port))).length).toBe(64 * 1024 ** 2);
    expect(await tund.tunctl(["check", "gex"])).toMatchObject({ code: 0 });
    expect(await harm()).toBeNull();
  });
});
