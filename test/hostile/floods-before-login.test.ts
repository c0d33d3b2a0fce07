// Servers that say too much, too big, too often or too small before they have let anybody in: the daemon lives, keeps within its memory and its
// descriptors, and the hosts beside them notice nothing.
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import { sshString } from "../../daemon/wire-format.ts";
import { flood, settled } from "./flood.ts";
import { call, deafConversation, obligingConversation } from "./http.ts";
import { message } from "./peer.ts";
import type { Accepted, Stage } from "./session.ts";
import { startWorld, type World } from "./world.ts";

const MB = 1024 * 1024;
const TEXT = Buffer.alloc(30_000, "x");
const yes = Buffer.from([1]);
const no = Buffer.from([0]);
const HOST = "/v1/masters/hostile";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
// What one of them has broken is not the next one's trouble.
afterEach(async ({ task }) => {
  if (task.result?.state !== "fail") return;
  await world.stop();
  world = await startWorld();
});
afterAll(async () => {
  await world?.stop();
});

const put = (body: unknown) => call(world.tund.socket, "PUT", HOST, body).catch(() => undefined);
const exit = () => call(world.tund.socket, "DELETE", HOST, undefined).catch(() => undefined);

const prompts = (count: number): Buffer =>
  Buffer.concat([
    message(60, "", "", "", count),
    ...Array.from({ length: count }, () => Buffer.concat([sshString("?"), no])),
  ]);

const manyPrompts = prompts(6000);

interface Early {
  what: string;
  at: Stage;
  accepts?: Accepted;
  make: (count: number) => Buffer;
  bytes: number;
  /** what whoever is asked says; without it they read nothing */
  answer?: string;
}

const early: readonly Early[] = [
  { what: "banners", at: "none", make: () => message(53, TEXT, ""), bytes: 128 * MB },
  { what: "banners of no length", at: "none", make: () => message(53, "", ""), bytes: 8 * MB },
  { what: "IGNORE in the place of a service", at: "service", make: () => message(2, TEXT), bytes: 128 * MB },
  {
    what: "DEBUG in the place of an answer",
    at: "none",
    make: () => Buffer.concat([message(4), yes, sshString(TEXT), sshString("")]),
    bytes: 128 * MB,
  },
  { what: "EXT_INFO", at: "service", make: () => message(7, 1, "server-sig-algs", TEXT), bytes: 128 * MB },
  { what: "UNIMPLEMENTED", at: "service", make: () => message(3, 1), bytes: 8 * MB },
  {
    what: "questions",
    at: "keyboard-interactive",
    accepts: "keyboard-interactive",
    make: () => message(60, "", TEXT, "", 0),
    bytes: 128 * MB,
  },
  {
    what: "thousands of questions at once",
    at: "keyboard-interactive",
    accepts: "keyboard-interactive",
    make: () => manyPrompts,
    bytes: 96 * MB,
  },
  {
    what: "requests for another password",
    at: "password",
    accepts: "password",
    make: () => message(60, TEXT, ""),
    bytes: 128 * MB,
    answer: "a password",
  },
  {
    what: "failures that nobody asked for",
    at: "none",
    make: () => Buffer.concat([message(51, "publickey"), no]),
    bytes: 8 * MB,
  },
  {
    what: "long lists of methods",
    at: "none",
    make: () => Buffer.concat([message(51, Buffer.alloc(20_000, "a,")), no]),
    bytes: 96 * MB,
  },
  { what: "global requests", at: "none", make: () => Buffer.concat([message(80, "x"), yes]), bytes: 8 * MB },
];

describe("Before the login a server floods the daemon with", () => {
  it.each(early)("$what, and nobody is harmed", async ({ at, accepts = "none", make, bytes, answer }) => {
    const over = settled();
    let isFlooding = false;
    world.server.play({
      accepts,
      before: (stage, { peer }) => {
        if (stage !== at) return isFlooding;
        if (!isFlooding) void flood(peer, make, { bytes }).then(over.settle);
        isFlooding = true;
        return true;
      },
    });
    const open = answer === undefined ? deafConversation : obligingConversation;
    const { id, socket } = await open(world.tund.socket, answer ?? "");
    const asked = put({ caller: { conversation: id } });
    await over.promise;
    await exit();
    socket.destroy();
    world.server.drop();
    await asked;
    await world.isUnharmed();
  });

  it("lines before its version, and nobody is harmed", async () => {
    const over = settled();
    world.server.serve((socket) => {
      const lines = Buffer.from("no version yet\r\n".repeat(4096));
      let sent = 0;
      const more = () => {
        while (sent < 64 * MB && socket.write(lines)) sent += lines.length;
        sent += lines.length;
        if (sent >= 64 * MB) over.settle();
      };
      socket.on("drain", more).once("close", over.settle);
      more();
    });
    const asked = put({});
    await over.promise;
    await exit();
    world.server.drop();
    await asked;
    await world.isUnharmed();
  });
});
