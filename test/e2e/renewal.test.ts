// What ssh_config means when a host is dialled again: what it says then, and not what it said when the host was first asked for.
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Event, Forward, Master } from "../../shared/records.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { type LoopbackServer, echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { makePath } from "../support/path.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, works } from "../support/tcp.ts";

const PATIENCE = { deadlineMs: 60_000 };

let home: Sshd;
let office: Sshd;
let echo: LoopbackServer;
let directory: string;
let config: string;

beforeAll(async () => {
  [home, office, echo] = await Promise.all([startSshd(), startSshd(), echoServer()]);
  directory = join(home.directory, "renewal");
  config = join(directory, "config");
  await mkdir(directory);
});
afterAll(async () => {
  await Promise.all([home?.stop(), office?.stop(), echo?.close()]);
});
beforeEach(async () => {
  await Promise.all([home, office].map(async (sshd) => (await sshd.down(), sshd.up())));
});

/** What leads to a server, and logs in there. */
const leadingTo = (sshd: Sshd): string =>
  [
    `HostName ${sshd.host}`,
    `Port ${sshd.port}`,
    `IdentityFile ${sshd.identity}`,
    `UserKnownHostsFile ${sshd.knownHosts}\n  ServerAliveInterval 15`, // or ssh is asked twice
  ].join("\n  ");

const common = "Host *\n  IdentitiesOnly yes\n  IdentityAgent none\n  GlobalKnownHostsFile /dev/null\n";

const write = (text: string): Promise<void> => writeFile(config, `${text}\n${common}`);

async function startDaemon(env: Record<string, string> = {}): Promise<Tund> {
  const tund = await startTund({ env: { TUND_SSH_CONFIG: config, ...env } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

async function ok(tund: Tund, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tund.tunctl(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

const status = async (tund: Tund): Promise<Master[]> =>
  (JSON.parse(await ok(tund, "status", "--json")) as { masters: Master[] }).masters;

/** What the API tells of changes, from now on. */
function eventsOf(tund: Tund): () => Event[] {
  let text = "";
  const asked = request({ socketPath: tund.socket, path: "/v1/events", agent: false }, (answer) =>
    answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk)),
  );
  asked.on("error", () => undefined).end();
  onTestFinished(() => void asked.destroy());
  const lines = () => text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return () =>
    lines()
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Event);
}

/** The master that a host stands for, once it is ready on that server. */
const readyOn = (tund: Tund, host: string, sshd: Sshd): Promise<Master> =>
  eventually(async () => {
    const master = (await status(tund)).find(({ names }) => names.includes(host));
    expect(master).toMatchObject({ state: "ready", port: sshd.port, address: `127.0.0.1:${sshd.port}` });
    return master as Master;
  }, PATIENCE);

describe("a host that is dialled again", () => {
  it("goes where Match exec says now", async () => {
    const away = join(directory, "away");
    onTestFinished(() => rm(away, { force: true }));
    await write(
      `Match originalhost place exec "test -e ${away}"\n  ${leadingTo(office)}\nHost place\n  ${leadingTo(home)}`,
    );
    const tund = await startDaemon();
    await ok(tund, "connect", "place");
    const [before] = await status(tund);
    expect(before).toMatchObject({ port: home.port, state: "ready" });
    await writeFile(away, "");
    home.dropSessions();
    await readyOn(tund, "place", office);
    await rm(away);
    office.dropSessions();
    expect(await readyOn(tund, "place", home)).toMatchObject({ names: ["place"], kept: true, reconnects: 2 });
  });

  it("goes where an edited ssh_config says, and keeps its forward as it is, with whoever waits there", async () => {
    await write(`Host db\n  ${leadingTo(home)}`);
    const tund = await startDaemon();
    const port = await freePort();
    await ok(tund, "forward", "-L", `${port}:127.0.0.1:${echo.port}`, "--name", "web", "db");
    await works(port);
    await home.down();
    const waits = await dialLoopback(port);
    onTestFinished(() => void waits.destroy());
    waits.write("still here");
    await write(`Host db\n  ${leadingTo(office)}`);
    await readyOn(tund, "db", office);
    const [said] = (
      await new Promise<Buffer[]>((resolve) => waits.once("data", (data) => resolve([data])))
    ).map(String);
    expect(said).toBe("still here");
    await works(port);
  });

  it("keeps its link when ssh_config is edited, until that ends", async () => {
    await write(`Host db\n  ${leadingTo(home)}`);
    const tund = await startDaemon();
    await ok(tund, "connect", "db");
    await write(`Host db\n  ${leadingTo(office)}`);
    await ok(tund, "check", "db");
    await ok(tund, "connect", "db");
    expect(await status(tund)).toMatchObject([{ port: home.port, state: "ready", reconnects: 0 }]);
    await ok(tund, "reconnect", "db");
    expect(await status(tund)).toMatchObject([{ port: office.port, state: "ready" }]);
  });

  it("waits, and says why, while ssh cannot make sense of ssh_config", async () => {
    await write(`Host db\n  ${leadingTo(home)}`);
    const tund = await startDaemon();
    const port = await freePort();
    await ok(tund, "forward", "-L", `${port}:127.0.0.1:${echo.port}`, "db");
    await writeFile(config, "Host db\n  HostNa x");
    home.dropSessions();
    await eventually(async () => {
      expect(await status(tund)).toMatchObject([
        {
          names: ["db"],
          state: "waiting",
          forwards: 1,
          failure: {
            code: "HOST_CONFIG_FAILED",
            message: `ssh cannot resolve 'db': ${config}: line 2: Bad configuration option: hostna; ${config}: terminating, 1 bad configuration options`,
          },
        },
      ]);
    }, PATIENCE);
    await write(`Host db\n  ${leadingTo(office)}`);
    await readyOn(tund, "db", office);
    await works(port);
  });

  it("has the forwards of its ssh_config by what that says now, and the others as they were asked for", async () => {
    const [own, configured] = [await freePort(), await freePort()];
    await write(`Host db\n  ${leadingTo(home)}`);
    const tund = await startDaemon({ TUND_CONNECT: "db" });
    await ok(tund, "forward", "-L", `${own}:127.0.0.1:${echo.port}`, "db");
    await write(
      `Host db\n  ${leadingTo(office)}\n  GatewayPorts yes\n  LocalForward ${configured} 127.0.0.1:${echo.port}`,
    );
    home.dropSessions();
    await readyOn(tund, "db", office);
    const bound = await eventually(async () => {
      const { forwards } = JSON.parse(await ok(tund, "list", "--json")) as { forwards: Forward[] };
      expect(forwards).toHaveLength(2);
      return forwards.map(({ boundTo }) => boundTo);
    }, PATIENCE);
    expect(bound[0]).toEqual([`127.0.0.1:${own}`, `[::1]:${own}`]);
    expect(bound[1]).toEqual(expect.arrayContaining([`0.0.0.0:${configured}`]));
  });
});

describe("two names of one connection", () => {
  it("part when they do not mean the same any longer, each with its forwards", async () => {
    await write(`Host one two\n  ${leadingTo(home)}`);
    const tund = await startDaemon();
    const [first, second] = [await freePort(), await freePort()];
    await ok(tund, "forward", "-L", `${first}:127.0.0.1:${echo.port}`, "--name", "first", "one");
    await ok(tund, "forward", "-L", `${second}:127.0.0.1:${echo.port}`, "--name", "second", "two");
    expect(await status(tund)).toMatchObject([{ names: ["one", "two"] }]);
    const list = () => ok(tund, "list", "--json").then((text) => JSON.parse(text) as { forwards: Forward[] });
    const before = (await list()).forwards;
    await write(`Host one\n  ${leadingTo(home)}\nHost two\n  ${leadingTo(office)}`);
    home.dropSessions();
    await readyOn(tund, "two", office);
    await readyOn(tund, "one", home);
    expect((await status(tund)).map(({ names }) => names)).toEqual([["one"], ["two"]]);
    await works(first);
    await works(second);
    const facts = ({ id, name, host, since, boundTo }: Forward) => ({ id, name, host, since, boundTo });
    expect((await list()).forwards.map(facts)).toEqual(before.map(facts)); // their listeners were never gone
    office.dropSessions();
    await readyOn(tund, "two", office);
    await works(second);
    await ok(tund, "exit", "two");
    await works(first);
  });

  it("share a link when they have come to mean the same", async () => {
    await write(`Host one\n  ${leadingTo(home)}\nHost two\n  ${leadingTo(office)}`);
    const tund = await startDaemon();
    const [first, second] = [await freePort(), await freePort()];
    await ok(tund, "forward", "-L", `${first}:127.0.0.1:${echo.port}`, "one");
    await ok(tund, "forward", "-L", `${second}:127.0.0.1:${echo.port}`, "two");
    await ok(tund, "connect", "two");
    const events = eventsOf(tund);
    await write(`Host one two\n  ${leadingTo(home)}`);
    office.dropSessions();
    expect(await readyOn(tund, "two", home)).toMatchObject({
      names: ["one", "two"],
      kept: true,
      forwards: 2,
    });
    // Whoever follows the events is told of the end of the master that nobody has a name for any more.
    await eventually(() => {
      const ofMasters = events().filter((event) => event.type === "master");
      const last = ofMasters.map(({ master }) => master).findLast(({ host }) => host === "two");
      expect(last).toMatchObject({ state: "closed", names: ["two"] });
    }, PATIENCE);
    expect(await status(tund)).toHaveLength(1);
    await works(first);
    await works(second);
  });

  it("part for a command that is given while there is no link", async () => {
    await write(`Host one two\n  ${leadingTo(home)}`);
    const tund = await startDaemon();
    await ok(tund, "connect", "one");
    await ok(tund, "connect", "two");
    await home.down();
    await eventually(async () => expect(await status(tund)).toMatchObject([{ state: "waiting" }]), PATIENCE);
    await write(`Host one\n  ${leadingTo(home)}\nHost two\n  ${leadingTo(office)}`);
    await ok(tund, "connect", "two");
    expect((await status(tund)).map(({ names, state }) => `${names.join(" ")} ${state === "ready"}`)).toEqual(
      ["one false", "two true"],
    );
  });
});

describe("asking ssh again", () => {
  /** A daemon whose `ssh` counts how often it is started. */
  async function counted(): Promise<{ tund: Tund; runs: () => Promise<number> }> {
    const log = join(directory, "runs");
    await writeFile(log, "");
    const path = await makePath(["ssh"], { ssh: `echo x >> '${log}'\nexec REAL "$@"` });
    onTestFinished(() => path.remove());
    const tund = await startDaemon({ PATH: path.PATH });
    return { tund, runs: async () => (await readFile(log, "utf8")).split("\n").length - 1 };
  }

  /** Has it redial so many times more. */
  async function redialled(tund: Tund, times: number): Promise<void> {
    for (let n = 0; n < times; n++) {
      const [before] = await status(tund);
      home.dropSessions();
      await eventually(async () => {
        const [now] = await status(tund);
        expect(now?.state).toBe("ready");
        expect(now?.reconnects).toBe((before?.reconnects ?? 0) + 1);
      }, PATIENCE);
    }
  }

  it("is not done for a dial that nobody waits for while the files that it read are as they were", async () => {
    await write(`Host db\n  ${leadingTo(home)}`);
    const { tund, runs } = await counted();
    await ok(tund, "connect", "db");
    const first = await runs();
    // What was changed less than 2 s before is asked for again.
    await eventually(async () => Date.now() - (await stat(config)).ctimeMs > 2000, PATIENCE);
    await eventually(async () => {
      const before = await runs();
      await redialled(tund, 1);
      return (await runs()) === before;
    }, PATIENCE);
    const before = await runs();
    expect(before).toBeGreaterThan(first);
    await write(`Host db\n  ${leadingTo(home)}\n  ServerAliveCountMax 7`);
    await redialled(tund, 1);
    expect(await runs()).toBe(before + 1);
  });

  it("is done at every dial where Match exec has a part in it", async () => {
    await write(`Match originalhost db exec true\n  ${leadingTo(home)}`);
    const { tund, runs } = await counted();
    await ok(tund, "connect", "db");
    const before = await runs();
    await redialled(tund, 2);
    expect(await runs()).toBe(before + 2);
  });
});
