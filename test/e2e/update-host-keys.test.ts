// What becomes of known_hosts when a server tells of its keys (UpdateHostKeys), and is not to be believed, or not alone.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import ssh2, { type Connection } from "ssh2";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { type RawServer, say, startRawServer } from "../support/raw-server.ts";
import { makeHostKey } from "../support/ssh-server.ts";
import { sshString } from "../../daemon/wire-format.ts";

const PROVE = "hostkeys-prove-00@openssh.com";

interface Inside {
  _protocol: {
    _kex: { sessionID: Buffer };
    _handlers: { GLOBAL_REQUEST: (self: unknown, name: string, wantReply: boolean, data: unknown) => void };
    requestSuccess(data?: Buffer): void;
  };
}

/** The other key that the server says it has, to each user another one: a key with several names is left alone. */
const others = new Map<string, ReturnType<typeof makeHostKey>>();

function otherFor(user: string) {
  const other = others.get(user) ?? makeHostKey();
  others.set(user, other);
  return other;
}

/** Says that it has that key, and proves it by signing; or by nothing. */
function tell(client: Connection, user: string, isProven: boolean): void {
  const other = otherFor(user);
  const { _protocol: protocol } = client as unknown as Inside;
  const key = ssh2.utils.parseKey(other.private);
  if (key instanceof Error) throw key;
  const proof = () => {
    const signed = Buffer.concat([PROVE, protocol._kex.sessionID, other.blob].map(sshString));
    return sshString(Buffer.concat(["ssh-ed25519", key.sign(signed)].map(sshString)));
  };
  const handle = protocol._handlers.GLOBAL_REQUEST;
  protocol._handlers.GLOBAL_REQUEST = (self, name, wantReply, data) => {
    if (name !== PROVE) return handle(self, name, wantReply, data);
    return protocol.requestSuccess(isProven ? proof() : Buffer.alloc(0));
  };
  say(
    client,
    Buffer.concat([
      Buffer.from([80]), // SSH_MSG_GLOBAL_REQUEST
      sshString("hostkeys-00@openssh.com"),
      Buffer.from([0]),
      sshString(other.blob),
    ]),
  );
}

let server: RawServer;
let tund: Tund;
let isProven: boolean;
let own: string;

beforeEach(async () => {
  isProven = true;
  server = await startRawServer({
    onAuthentication: (context, client) => {
      client.once("ready", () => tell(client, context.username, isProven));
      context.accept();
    },
  });
  tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
  onTestFinished(async () => void (await tund.stop()));
  const known = await readFile(join(server.directory, "known_hosts"), "utf8");
  own = known.trim().split(" ").slice(1).join(" ");
});
afterEach(() => server.stop());

const textFor = (user: string): string => `ssh-ed25519 ${otherFor(user).blob.toString("base64")}`;

/** Hosts of these names that share a known_hosts file, which has this server's own key for each. */
async function knownAs(...names: string[]): Promise<string> {
  const path = join(server.directory, "ours");
  await writeFile(path, names.map((name) => `${name} ${own}\n`).join(""));
  for (const name of names)
    await server.addHost(name, {
      User: name,
      HostKeyAlias: name,
      UserKnownHostsFile: path,
      UpdateHostKeys: "yes",
    });
  return path;
}

async function warnings(): Promise<string[]> {
  const { stdout } = await tund.tunctl(["status", "--json"]);
  return (JSON.parse(stdout) as { masters: Master[] }).masters.flatMap((master) => master.warnings);
}

it("the key by which the server was just known stays, though the server does not list it", async () => {
  const path = await knownAs("one");
  expect(await tund.tunctl(["connect", "one"])).toMatchObject({ code: 0 });
  await eventually(async () =>
    expect(await readFile(path, "utf8")).toBe(`one ${own}\none ${textFor("one")}\n`),
  );
  expect(await tund.tunctl(["reconnect", "one"])).toMatchObject({ code: 0 });
});

it("nothing is changed where a key that is listed is not proven, and that is told", async () => {
  isProven = false;
  const path = await knownAs("one");
  expect(await tund.tunctl(["connect", "one"])).toMatchObject({ code: 0 });
  await eventually(async () => expect((await warnings()).join()).toContain("(UpdateHostKeys)"));
  expect(await readFile(path, "utf8")).toBe(`one ${own}\n`);
});

it("hosts whose keys are in one file have their turns, and none is lost", async () => {
  const names = Array.from({ length: 8 }, (_, index) => `host${index}`);
  const path = await knownAs(...names);
  const connected = await Promise.all(names.map((name) => tund.tunctl(["connect", name])));
  expect(connected.map(({ code }) => code)).toEqual(names.map(() => 0));
  const wanted = names.flatMap((name) => [`${name} ${own}`, `${name} ${textFor(name)}`]);
  const lines = async () => (await readFile(path, "utf8")).trim().split("\n");
  await eventually(async () => expect((await lines()).toSorted()).toEqual(wanted.toSorted()));
  expect(await warnings()).toEqual([]);
});
