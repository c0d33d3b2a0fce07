// Lists and texts that a server makes as long as it likes, in messages that people read.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import ssh2 from "ssh2";
import { expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { makeHostKey } from "../support/ssh-server.ts";

it("are shown in part, and what is no name in them not at all", async () => {
  const methods = [
    "hostbased",
    "\u001b[2J",
    "x".repeat(65),
    ...Array.from({ length: 2000 }, (_, n) => `method-${n}`),
  ];
  const server = new ssh2.Server({ hostKeys: [makeHostKey().private] }, (client) => {
    client.on("error", () => undefined);
    client.on("authentication", (context) => context.reject(methods as never));
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const tund = await startTund();
  onTestFinished(async () => void (await tund.stop()));
  const options = [
    "StrictHostKeyChecking=no",
    "IdentityFile=none",
    "IdentityAgent=none",
    "UserKnownHostsFile=/dev/null",
  ];
  const args = [...options.flatMap((option) => ["-o", option]), "-p", String(port), "127.0.0.1"];
  const { code, stderr } = await tund.tunctl(["connect", ...args]);
  expect(code).toBe(7);
  expect(stderr).toMatch(/accepts hostbased, method-0, method-1, .*, method-38, and 1961 more; /);
  expect(stderr.length).toBeLessThan(2000);
  expect((await tund.tunctl(["doctor", ...args])).stdout.length).toBeLessThan(5000);
});
