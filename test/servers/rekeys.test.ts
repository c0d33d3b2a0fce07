// New keys in the middle of traffic in both directions, asked for by either side and by both; beside ssh.
import { expect, onTestFinished } from "vitest";
import { echoServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { dialLoopback } from "../support/tcp.ts";
import { comesBack } from "./cells.ts";
import { type Client, sshTo, tundTo } from "./clients.ts";
import { allSoftware, describePeer, type Software } from "./peers.ts";
import { compare, itOf, tried } from "./verdict.ts";

const LIMIT = 1024 * 1024;

const softwares = (await allSoftware()).filter(({ forwards }) => forwards);
for (const software of softwares)
  if (software.asksForKeys) {
    rekeyed(software, "new keys, asked for by the server", { client: false, server: true });
    rekeyed(software, "new keys, asked for by both", { client: true, server: true });
  } else {
    rekeyed(software, "new keys, asked for by the client", { client: true, server: false });
  }

function rekeyed(software: Software, row: string, by: { client: boolean; server: boolean }): void {
  const at = { row, column: software.name };
  describePeer(software)(software.name, () => {
    itOf(at)(row, async () => {
      const peer = await software.start(by.server ? { habits: { rekeyBytes: LIMIT } } : {});
      onTestFinished(() => peer.stop());
      await peer.addHost("rekeyed", by.client ? { RekeyLimit: LIMIT } : {});
      const echo = await echoServer();
      onTestFinished(() => echo.close());
      const [ssh, tund] = await Promise.all([sshTo(peer, "rekeyed"), tundTo(peer, "rekeyed")]);
      onTestFinished(() => ssh.stop());
      onTestFinished(() => tund.stop());
      const both = (client: Client) => tried(client, () => bothWays(client, echo.port));
      const [theirs, ours] = await Promise.all([both(ssh), both(tund)]);
      compare(at, { ssh: theirs, tund: ours });
      if (!ours.works) return;
      // Each way alone goes over the limit; how often that is noticed is a matter of how fast it goes.
      const exchanges = tund.log().split("new keys, asked for by").length - 1;
      expect(exchanges).toBeGreaterThanOrEqual(1);
    });
  });
}

/** A connection in each direction, at the same time; the link must be whole afterwards. */
async function bothWays(client: Client, to: number): Promise<void> {
  const [local, remote] = [await freePort(), await freePort()];
  for (const [flag, port] of [
    ["-L", local],
    ["-R", remote],
  ] as const) {
    const { code, stderr } = await client.forward(flag, `${port}:127.0.0.1:${to}`);
    if (code !== 0) throw new Error(stderr.trim());
  }
  await Promise.all(
    [local, remote].map(async (port) => {
      const socket = await dialLoopback(port);
      await comesBack({ input: socket, output: socket });
    }),
  );
  const { code, stderr } = await client.check();
  if (code !== 0) throw new Error(stderr.trim());
}
