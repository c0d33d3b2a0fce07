// Every kind of forward over a server, by tund and by ssh.
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { echoServer } from "../support/echo.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { cells, type FarEnds } from "./cells.ts";
import { type Client, sshTo, tundTo } from "./clients.ts";
import { describePeer, type Peer, type Software } from "./peers.ts";
import { compare, itOf, tried } from "./verdict.ts";

/** Registers a test for each kind of forward on each of these servers. */
export function everyForwardOn(servers: readonly Software[]): void {
  for (const software of servers)
    describePeer(software)(software.name, () => {
      let place: TempDir;
      let peer: Peer;
      let far: FarEnds;
      let ssh: Client;
      let tund: Client;

      beforeAll(async () => {
        place = await tempDir();
        const tcp = await echoServer();
        const unix = await echoServer({ path: join(place.path, "echo") });
        far = { tcp, unix };
        peer = await software.start();
        [ssh, tund] = await Promise.all([sshTo(peer), tundTo(peer)]);
      });
      afterAll(async () => {
        await tund?.stop();
        await ssh?.stop();
        await peer?.stop();
        await far?.tcp.close();
        await far?.unix.close();
        await place?.remove();
      });

      for (const cell of cells.filter(({ always }) => always === true || software.forwards)) {
        const at = { row: cell.name, column: software.name };
        itOf(at)(cell.name, async () => {
          const trial = { far, directory: place.path };
          const by = (client: Client) => tried(client, () => cell.run({ ...trial, client }));
          const [theirs, ours] = await Promise.all([by(ssh), by(tund)]);
          compare(at, { ssh: theirs, tund: ours });
        });
      }
    });
}
