// What ssh does for a session is never done, whatever ssh_config says: agent and X11 forwarding, commands here, tunnel devices.
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import ssh2, { type Connection } from "ssh2";
import { expect, it, onTestFinished } from "vitest";
import { startAgent } from "../support/agent.ts";
import { startTund } from "../support/daemon.ts";
import { loopbackConfig } from "../support/ssh-config.ts";
import { makeHostKey } from "../support/ssh-server.ts";
import { tempDir } from "../support/temp-dir.ts";

interface Opening {
  _chanMgr: { add(answered: (error?: Error) => void): number };
  _protocol: {
    x11(
      channel: number,
      window: number,
      packet: number,
      from: { originAddr: string; originPort: number },
    ): void;
    openssh_authAgent(channel: number, window: number, packet: number): void;
  };
}

/** Opens a channel towards the client, and gives what it was answered. */
function openTowards(client: Connection, open: (on: Opening, channel: number) => void): Promise<string> {
  const inside = client as unknown as Opening;
  return new Promise((resolve) => {
    const channel = inside._chanMgr.add((error) => resolve(error === undefined ? "opened" : error.message));
    open(inside, channel);
  });
}

it("a server is asked for no session, no agent, no display and no device, and gets none that it opens", async () => {
  const place = await tempDir();
  onTestFinished(() => place.remove());
  const hostKey = makeHostKey();
  const sessions: string[] = [];
  const server = new ssh2.Server({ hostKeys: [hostKey.private] }, (client) => {
    client.on("error", () => undefined);
    client.on("authentication", (context) => context.accept());
    client.on("session", (accept) => {
      sessions.push("session");
      accept();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { config } = await loopbackConfig(place.path, (server.address() as AddressInfo).port, hostKey.blob);
  const ran = join(place.path, "ran");
  await config.add("asked", {
    ForwardAgent: "yes",
    ForwardX11: "yes",
    ForwardX11Trusted: "yes",
    PermitLocalCommand: "yes",
    LocalCommand: `touch ${ran}`,
    RemoteCommand: `touch ${ran}`,
    Tunnel: "yes",
  });
  const agent = await startAgent();
  onTestFinished(() => agent.stop());
  const tund = await startTund({
    env: { TUND_SSH_CONFIG: config.path, SSH_AUTH_SOCK: agent.socket, DISPLAY: ":0" },
  });
  onTestFinished(async () => void (await tund.stop()));

  const ready = new Promise<Connection>((resolve) =>
    server.once("connection", (client) => client.once("ready", () => resolve(client))),
  );
  expect(await tund.tunctl(["connect", "asked"])).toMatchObject({ code: 0 });
  const client = await ready;
  const display = await openTowards(client, (on, channel) =>
    on._protocol.x11(channel, 65_536, 32_768, { originAddr: "127.0.0.1", originPort: 6000 }),
  );
  const keys = await openTowards(client, (on, channel) =>
    on._protocol.openssh_authAgent(channel, 65_536, 32_768),
  );
  expect({ display, keys }).toEqual({
    display: expect.stringMatching(/refused|fail|prohibited/i),
    keys: display,
  });
  expect(await tund.tunctl(["check", "asked"])).toMatchObject({ code: 0 });
  expect(sessions).toEqual([]);
  expect(existsSync(ran)).toBe(false);
});
