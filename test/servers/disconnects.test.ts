// Ends of connections, beside ssh: servers that go away, and those that say why.
import { describe, expect, onTestFinished } from "vitest";
import { echoServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { startOtherServer, whyNot } from "../support/other-servers.ts";
import { dialLoopback, echoed, endOf } from "../support/tcp.ts";
import { type Client, sshTo, tundTo } from "./clients.ts";
import { allSoftware, describePeer } from "./peers.ts";
import { compare, itOf, type Verdict } from "./verdict.ts";

for (const software of await allSoftware())
  describePeer(software)(software.name, () => {
    const at = { row: "the server goes away", column: software.name };
    itOf(at)(at.row, async () => {
      const peer = await software.start();
      onTestFinished(() => peer.stop());
      const echo = await echoServer();
      onTestFinished(() => echo.close());
      const clients = await Promise.all([sshTo(peer), tundTo(peer)]);
      for (const client of clients) onTestFinished(() => client.stop());
      const connections = software.forwards
        ? await Promise.all(clients.map((one) => connected(one, echo.port)))
        : [];
      await peer.stop();
      const [theirs = "", ours = ""] = await Promise.all(clients.map((client) => client.goodbye()));
      // Whoever is connected through it is told as well.
      await Promise.all(connections.map(endOf));
      const verdict = (said: string, isRight: boolean): Verdict =>
        isRight ? { works: true } : { works: false, why: said, isTold: false };
      compare(at, {
        ssh: verdict(theirs, theirs !== ""),
        tund: verdict(ours, /^[^\n]+$/.test(ours)), // one line
      });
    });
  });

async function connected(client: Client, to: number) {
  const port = await freePort();
  const { code, stderr } = await client.forward("-L", `${port}:127.0.0.1:${to}`);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const socket = await dialLoopback(port);
  await echoed(socket, "x"); // or its channel might be opened anew on the next link
  return socket;
}

/** What a client said at the end, even if that came before it had said that it is in. */
async function lastWords(connecting: Promise<Client>): Promise<string> {
  try {
    const client = await connecting;
    onTestFinished(() => client.stop());
    return await client.goodbye();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const WORDS = "the building closes at six";

describe.skipIf(whyNot("asyncssh") !== null)("a server", () => {
  for (const language of [true, false])
    for (const [when, code] of [
      ["login", 14],
      ["later", 11],
    ] as const) {
      const moment = when === "login" ? "during the login" : "after the login";
      const at = {
        row: `a DISCONNECT ${moment}, with${language ? "" : "out"} a language tag`,
        column: "asyncssh",
      };
      itOf(at)(`${at.row} is told with the server's words, as by ssh`, async () => {
        const server = await startOtherServer("asyncssh", {
          disconnect: { when, code, text: WORDS, language },
        });
        onTestFinished(() => server.stop());
        const [theirs = "", ours = ""] = await Promise.all([sshTo(server), tundTo(server)].map(lastWords));
        const verdict = (said: string): Verdict =>
          said.includes(WORDS) ? { works: true } : { works: false, why: said, isTold: true };
        compare(at, { ssh: verdict(theirs), tund: verdict(ours) });
      });
    }
});
