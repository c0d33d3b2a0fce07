// A server that says one odd thing after the login, or on each channel: where ssh's link lives, tund's does.
import { expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { startInBackground } from "../support/background.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { describeServer, oddThings, type OtherServer, startOtherServer } from "../support/other-servers.ts";
import { dialLoopback, endOf, works } from "../support/tcp.ts";

interface Ports {
  local: number;
  remote: number;
  /** a forward whose destination refuses */
  refused: number;
}

const AT_ONCE = 4;

async function newPorts(): Promise<Ports> {
  return { local: await freePort(), remote: await freePort(), refused: await freePort() };
}

const specs = ({ local, remote, refused }: Ports, to: string): string[] => [
  "-L",
  `${local}:${to}`,
  "-L",
  `${refused}:127.0.0.1:1`,
  "-R",
  `${remote}:${to}`,
];

/** Uses the link when the odd thing has been said. Gives whether all of it worked, unless `isOver` before that. */
async function serves(
  { local, remote, refused }: Ports,
  { isSaid, isOver }: { isSaid: () => boolean; isOver: () => boolean },
): Promise<boolean> {
  const until = (check: () => Promise<unknown> | boolean) =>
    eventually(async () => isOver() || (await check()) !== false);
  try {
    await until(() => works(local));
    await until(isSaid);
    await until(async () => endOf(await dialLoopback(refused)));
    for (const port of [local, remote, local]) await until(() => works(port));
    return !isOver();
  } catch {
    return false;
  }
}

interface World {
  server: OtherServer;
  tund: Tund;
  to: string;
}

/** How often the server has said it by now. */
const timesSaid = ({ server }: World, thing: string): number =>
  server.log().split(`said ${thing}\n`).length - 1;

async function bySsh(world: World, thing: string, isSaid: () => boolean): Promise<boolean> {
  const { server, to } = world;
  const ports = await newPorts();
  const options = ["-N", "-F", server.sshConfig, "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"];
  const args = [...options, ...specs(ports, to), nameOf(thing)];
  const ssh = await startInBackground("ssh", args, { env: process.env, cwd: server.directory });
  try {
    return await serves(ports, { isSaid, isOver: () => ssh.ended() });
  } finally {
    ssh.kill("SIGKILL");
    await ssh.end;
  }
}

async function byTund({ tund, to }: World, thing: string, isSaid: () => boolean): Promise<boolean> {
  const ports = await newPorts();
  const name = nameOf(thing);
  const { code } = await tund.tunctl(["forward", "--timeout", "60", ...specs(ports, to), name]);
  const isServed = code === 0 && (await serves(ports, { isSaid, isOver: () => false }));
  const { stdout } = await tund.tunctl(["status", "--json"]);
  const { masters } = JSON.parse(stdout) as { masters: Master[] };
  const master = masters.find(({ host }) => host === name);
  await tund.tunctl(["exit", name]);
  return isServed && master?.state === "ready" && master.reconnects === 0 && master.failure === null;
}

const nameOf = (thing: string): string => thing.replaceAll(/[^a-z0-9]+/gi, "-");

describeServer("asyncssh")("a server that says something odd", () => {
  it("has no link ended by that which ssh takes no notice of", async () => {
    const server = await startOtherServer("asyncssh");
    onTestFinished(() => server.stop());
    const things = oddThings();
    for (const thing of things) await server.addHost(nameOf(thing), { User: thing.replaceAll(" ", "_") });
    const tund = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
    onTestFinished(async () => void (await tund.stop()));
    const echo = await echoServer();
    onTestFinished(() => echo.close());
    const world = { server, tund, to: `127.0.0.1:${echo.port}` };
    const verdicts = new Map<string, { ssh: boolean; tund: boolean }>();
    const left = [...things];
    const work = async () => {
      for (let thing = left.shift(); thing !== undefined; thing = left.shift()) {
        const one = thing;
        // What is odd on channels and in answers is not said by itself.
        const isSaid = (times: number) => () =>
          /^channel: |^open failure |^banner without /.test(one) || timesSaid(world, one) >= times;
        const ssh = await bySsh(world, one, isSaid(1));
        const again = isSaid(timesSaid(world, one) + 1);
        verdicts.set(one, { ssh, tund: ssh && (await byTund(world, one, again)) });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const lives = [...verdicts].filter(([, { ssh }]) => ssh);
    expect(lives.filter(([, verdict]) => !verdict.tund).map(([thing]) => thing)).toEqual([]);
    expect(verdicts.size).toBe(things.length);
    expect(lives.length).toBeGreaterThan(things.length / 3);
    console.log(`ssh's link lives after ${lives.length} of ${things.length}, tund's too`);
  });
});
