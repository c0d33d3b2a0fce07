// OpenSSH that is newer than the machine's own, as a server, and as a client on our mux sockets.
import { describe, expect, it, onTestFinished } from "vitest";
import { freePort } from "../support/free-port.ts";
import { newerOpenSsh } from "../support/newer-openssh.ts";
import type { SshdOptions } from "../support/sshd.ts";
import { works } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

const openSsh = await newerOpenSsh();

/** For the running test alone. */
async function tunnelTo(options: SshdOptions = {}): Promise<Tunnel> {
  const tunnel = await startTunnel({ openSsh: openSsh ?? undefined, ...options });
  onTestFinished(() => tunnel.stop());
  return tunnel;
}

describe.skipIf(openSsh === null)(`a server of OpenSSH ${openSsh?.version.join(".")}`, () => {
  it("is logged in to, and carries forwards of both directions", async () => {
    const tunnel = await tunnelTo();
    const [local, remote] = [await freePort(), await freePort()];
    const to = `127.0.0.1:${tunnel.echo.port}`;
    await tunnel.ok("forward", "-L", `${local}:${to}`, "-R", `${remote}:${to}`, "testhost");
    await works(local);
    await works(remote);
    expect(await tunnel.ok("check", "testhost")).toContain("Master running");
    expect(tunnel.sshd.log()).toContain("Accepted publickey");
  });
});
