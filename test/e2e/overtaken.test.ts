// Commands that wait for what ssh_config says of a host, and are overtaken by others that end what they began with.
import { existsSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Client } from "../../cli/client.ts";
import { atPath } from "../support/at-path.ts";
import { eventually } from "../support/eventually.ts";
import { startTund } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { startSshd, type Sshd } from "../support/sshd.ts";

let sshd: Sshd;
/** As long as it is there, nobody is told what ssh_config says of `alias`; `asked` appears when somebody wants to know. */
let gate: string;
let asked: string;

beforeAll(async () => {
  sshd = await startSshd();
  await sshd.addHost("alias");
  [gate, asked] = [join(sshd.directory, "gate"), join(sshd.directory, "asked")];
  const script = join(sshd.directory, "wait.sh");
  const lines = [`[ -e ${gate} ] && touch ${asked}`, `while [ -e ${gate} ]; do sleep 0.02; done`, "exit 1"];
  await writeFile(script, ["#!/bin/sh", ...lines, ""].join("\n"));
  await chmod(script, 0o755);
  const hosts = await readFile(sshd.sshConfig, "utf8");
  await writeFile(sshd.sshConfig, `Match originalhost alias exec ${script}\n  Compression yes\n${hosts}`);
});
afterAll(() => sshd?.stop());

/** What is wanted of a host, by a client of the control API. */
type Act = (client: Client, host: string) => Promise<unknown>;

const connect: Act = (client, host) => client.call("connectMaster", { params: { host }, body: {} });
const exit: Act = (client, host) => client.call("exitMaster", { params: { host } });
const stop: Act = (client, host) => client.call("stopMaster", { params: { host } });
const connection = { options: ["LogLevel=ERROR"] };

const late: [string, Act][] = [
  ["connect", connect],
  [
    "connect with other options",
    (client, host) =>
      client.call("connectMaster", {
        params: { host },
        body: { connection: { options: ["Compression=yes"] } },
      }),
  ],
  [
    "forward",
    (client, host) =>
      client.call("openForwards", {
        body: { host, connection, forwards: [{ kind: "remote", spec: "0:127.0.0.1:1" }] },
      }),
  ],
  ["reconnect", (client, host) => client.call("reconnectMaster", { params: { host } })],
  [
    "stdio",
    (client, host) => client.call("openStdio", { body: { host, connection, destination: "127.0.0.1:1" } }),
  ],
];
const overtaking: [string, (client: Client) => Promise<unknown>][] = [
  ["exit", (client) => exit(client, "alias")],
  ["exit of the other name", (client) => exit(client, "testhost")],
  ["stop", (client) => stop(client, "alias")],
  [
    "exit, and the other name is connected again",
    async (client) => {
      await exit(client, "alias");
      await connect(client, "testhost");
    },
  ],
];

describe("two names of one master are neither lost nor left behind", () => {
  for (const [what, act] of late)
    it.each(overtaking)(`when ${what} is overtaken by %s`, async (_what, overtake) => {
      const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
      onTestFinished(async () => void (await tund.stop()));
      const client = new Client(atPath(tund.socket));
      const namesNow = async () =>
        (await client.call("getStatus", {})).masters.flatMap(({ names }) => [...names]);
      for (const host of ["testhost", "alias"]) await connect(client, host);
      expect(await namesNow()).toEqual(["testhost", "alias"]);
      await writeFile(gate, "");
      const overtaken = act(client, "alias").catch(() => undefined); // whatever it comes to
      await eventually(() => existsSync(asked));
      await overtake(client);
      await rm(gate);
      await rm(asked);
      await overtaken;
      for (let [name] = await namesNow(); name !== undefined; [name] = await namesNow()) {
        await exit(client, name);
        expect(await namesNow()).not.toContain(name);
      }
      for (const host of ["testhost", "alias"])
        expect(await connect(client, host)).toMatchObject({
          state: "ready",
          names: expect.arrayContaining([host]) as string[],
        });
      for (const host of ["testhost", "alias"]) await exit(client, host).catch(() => undefined);
      expect(await namesNow()).toEqual([]);
    });
});

it("a cancel is answered when nothing listens any more, also of a forward that the server has not answered", async () => {
  const slow = await startSshd();
  onTestFinished(() => slow.stop());
  const tund = await startTund({ env: { TUND_SSH_CONFIG: slow.sshConfig } });
  onTestFinished(async () => void (await tund.stop()));
  const client = new Client(atPath(tund.socket));
  await connect(client, "testhost");
  const forwards = [{ kind: "remote" as const, spec: `${await freePort()}:127.0.0.1:1` }];
  const body = { host: "testhost", forwards };
  const listed = async () => (await client.call("listForwards", { querystring: {} })).forwards;
  slow.freeze();
  onTestFinished(() => slow.thaw());
  await client.call("openForwards", { body: { ...body, wait: false } });
  expect(await listed()).toMatchObject([{ state: "pending" }]);
  // Whoever is told that it is cancelled may ask for it anew, and the server has only one such port.
  const anew = client
    .call("cancelForwards", { body })
    .then(() => client.call("openForwards", { body }))
    .catch((error: unknown) => error);
  for (let looks = 0; looks < 3; looks++) await eventually(async () => expect(await listed()).toEqual([]));
  slow.thaw();
  expect(await anew).toMatchObject({ forwards: [{ state: "active" }] });
});
