// The maximum packet size of a channel (RFC 4254 section 5.1), as a hostile server chooses it.
import type { Connection } from "ssh2";
import { describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { offerPacketSize, type RawServerOptions } from "../support/raw-server.ts";
import { dialLoopback, readAll } from "../support/tcp.ts";
import { rawServer, startBeside } from "./beside.ts";

describe("a maximum packet size", () => {
  const listens = (bytes: number, opened: (error: Error | undefined) => void): RawServerOptions => ({
    onConnection: (client: Connection) =>
      client.on("request", (accept, _reject, name, info) => {
        accept?.();
        if (name !== "tcpip-forward" || !("bindAddr" in info)) return;
        offerPacketSize(client, bytes);
        client.forwardOut(info.bindAddr, info.bindPort, "127.0.0.1", 1, (error) => opened(error));
      }),
  });

  it.each([0, 1, 1023])(
    "of %i bytes, of a channel that the server opens, is refused and said",
    async (bytes) => {
      let failure: Error | undefined;
      const server = await rawServer(listens(bytes, (error) => (failure = error)));
      const { tund, harm } = await startBeside(server.sshConfig);
      await tund.tunctl(["forward", "-R", "45678:127.0.0.1:9", "raw"]);
      await eventually(() => failure !== undefined);
      expect(failure?.message).toContain(`its maximum packet size is ${bytes}, and 1024 is the least`);
      expect(await harm()).toBeNull();
    },
  );

  it.each([0, 1, 1023])(
    "of %i bytes, of a channel that we open, fails the connection and is said",
    async (bytes) => {
      const server = await rawServer({
        onConnection: (client) =>
          client.on("tcpip", (accept) => {
            offerPacketSize(client, bytes);
            accept();
          }),
      });
      const { tund, harm } = await startBeside(server.sshConfig);
      const port = await freePort();
      await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:9`, "raw"]);
      expect(await readAll(await dialLoopback(port))).toHaveLength(0);
      const { stdout } = await tund.tunctl(["list", "--json", "raw"]);
      const why = `the server takes packets of ${bytes} bytes at most, and 1024 are the least`;
      expect(JSON.parse(stdout)).toMatchObject({ forwards: [{ failure: { message: why } }] });
      expect(await harm()).toBeNull();
    },
  );

  it("of 1024 bytes carries whatever is sent", async () => {
    const server = await rawServer({
      onConnection: (client) =>
        client.on("tcpip", (accept) => {
          offerPacketSize(client, 1024);
          const channel = accept();
          channel.pipe(channel);
        }),
    });
    const { tund } = await startBeside(server.sshConfig);
    const port = await freePort();
    await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:9`, "raw"]);
    const socket = await dialLoopback(port);
    const sent = Buffer.alloc(100_000, "x");
    socket.end(sent);
    expect((await readAll(socket)).equals(sent)).toBe(true);
  });
});
