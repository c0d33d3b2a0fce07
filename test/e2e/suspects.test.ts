// A host that ends tund: the others are served again after the second time, and it is left alone until a person wants it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Manner, type PlantedFault, plantFault } from "../support/planted-fault.ts";
import { living } from "../support/process-tree.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { refuses, works } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";

let [good, bad]: Sshd[] = [];
let echo: LoopbackServer;
beforeAll(async () => {
  [good, bad] = await Promise.all([startSshd(), startSshd()]);
  echo = await echoServer();
  await server(bad).addHost("bad");
  await server(bad).addHost("behind-bad", { ProxyJump: "bad" });
});
afterAll(async () => {
  await Promise.all([good?.stop(), bad?.stop(), echo?.close()]);
});

const server = (sshd: Sshd | undefined): Sshd => {
  if (sshd === undefined) throw new Error("not set up yet");
  return sshd;
};

/** A home whose daemon has a forward over `testhost` and one over `bad`, and a fault that comes with the bytes of `bad`. */
class Place {
  readonly #env: Record<string, string>;
  readonly home: string;
  readonly fault: PlantedFault;

  constructor(home: string, fault: PlantedFault, more: Record<string, string>) {
    this.home = home;
    this.fault = fault;
    this.#env = { ...fault.env, TUND_SSH_CONFIG: join(home, "config"), ...more };
  }

  static async make(manner: Manner, more: Record<string, string> = {}): Promise<Place> {
    const directory = await tempDir();
    onTestFinished(() => directory.remove());
    const home = directory.path;
    const texts = await Promise.all([good, bad].map((each) => readFile(server(each).sshConfig, "utf8")));
    await writeFile(join(home, "config"), texts.join("\n"));
    return new Place(home, await plantFault(home, server(bad).port, manner), more);
  }

  /** Puts lines before the others of its ssh_config. */
  async configureFirst(lines: string): Promise<void> {
    const config = join(this.home, "config");
    await writeFile(config, `${lines}Match all\n${await readFile(config, "utf8")}`);
  }

  async start(): Promise<Tund> {
    const tund = await startTund({ home: this.home, env: this.#env });
    onTestFinished(async () => void (await tund.stop("SIGKILL")));
    return tund;
  }

  /** Starts it, and waits for its end. */
  async startToEnd(): Promise<void> {
    const tund = await this.start().catch(() => null); // it may end before it has answered
    if (tund !== null) await ended(tund);
  }
}

const ended = (tund: Tund) => eventually(() => living([tund.pid]).length === 0);

async function ok(tund: Tund, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tund.tunctl(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function listed(tund: Tund): Promise<{ masters: Master[]; forwards: Forward[] }> {
  const { masters } = JSON.parse(await ok(tund, "status", "--json")) as { masters: Master[] };
  const { forwards } = JSON.parse(await ok(tund, "list", "--json")) as { forwards: Forward[] };
  return { masters, forwards };
}

async function forwardBoth(tund: Tund): Promise<{ good: number; bad: number }> {
  const ports = { good: await freePort(), bad: await freePort() };
  await ok(tund, "forward", "-L", `${ports.good}:127.0.0.1:${echo.port}`, "testhost");
  await ok(tund, "forward", "-L", `${ports.bad}:127.0.0.1:${echo.port}`, "bad");
  return ports;
}

/** The hosts, when all of them are ready. */
const whenReady = (tund: Tund) =>
  eventually(async () => {
    const { masters } = await listed(tund);
    return masters.every(({ state }) => state === "ready") && masters.map(({ host }) => host).sort();
  });

const SUSPICION =
  /^tund ended while handling bad, twice within ten minutes, last at \S+; its log says why: 'tunctl connect bad' tries again$/;

describe("a host in whose turn tund has ended", () => {
  it.each(["throw", "rejection", "timer"] as const)(
    "twice, by a %s, is left alone until somebody connects it, and the others are served",
    async (manner) => {
      const place = await Place.make(manner);
      const first = await place.start();
      const ports = await forwardBoth(first);
      await place.fault.arm();
      server(bad).dropSessions();
      await ended(first);
      await eventually(() => expect(first.log()).toMatch(/"hosts":\["bad"\].*tund cannot go on/));
      await place.startToEnd();

      const third = await place.start();
      await eventually(() => works(ports.good));
      const { masters, forwards } = await listed(third);
      const failure = { code: "INTERNAL", message: expect.stringMatching(SUSPICION) as string };
      expect(masters.find(({ host }) => host === "bad")).toMatchObject({
        state: "failed",
        failure,
        retryAt: null,
      });
      expect(forwards.find(({ host }) => host === "bad")).toMatchObject({
        state: "failed",
        failure,
        retryAt: null,
      });
      expect(await refuses(ports.bad)).toBe(true);

      await place.fault.disarm();
      await ok(third, "connect", "bad");
      await eventually(() => works(ports.bad));
      await third.stop();
      const fourth = await place.start();
      await eventually(() => works(ports.bad));
      await fourth.stop();
    },
  );

  it("twice is tried by 'connect', 'reconnect', and a forward, and is a suspect again when it ends tund once more", async () => {
    for (const command of ["connect", "reconnect", "forward"]) {
      const place = await Place.make("throw", { TUND_CONNECT: "testhost bad" });
      await place.fault.arm();
      for (let times = 0; times < 2; times++) await place.startToEnd();
      const third = await place.start();
      const args = command === "forward" ? ["-D", String(await freePort()), "bad"] : ["bad"];
      await third.tunctl([command, ...args]);
      await ended(third);
      const fourth = await place.start();
      await ok(fourth, "connect", "testhost");
      const { masters } = await listed(fourth);
      expect(masters.find(({ host }) => host === "bad")?.failure?.message).toMatch(SUSPICION);
      await fourth.stop();
    }
  });

  it("twice stays one when a person's command was interrupted before it was dialled", async () => {
    const place = await Place.make("throw", { TUND_CONNECT: "testhost bad" });
    await place.fault.arm();
    for (let times = 0; times < 2; times++) await place.startToEnd();
    const third = await place.start();
    const asked = join(place.home, "asked");
    await place.configureFirst(`Match originalhost bad exec "touch ${asked}; exec sleep 60"\n`);
    const connecting = spawn(
      process.execPath,
      ["dist/tunctl.cjs", "--socket", third.socket, "connect", "bad"],
      { stdio: "ignore" },
    );
    await eventually(() => existsSync(asked));
    connecting.kill("SIGINT");
    await once(connecting, "exit");
    const failureOf = async (tund: Tund) =>
      (await listed(tund)).masters.find(({ host }) => host === "bad")?.failure?.message;
    expect(await failureOf(third)).toMatch(SUSPICION);
    await third.stop();
    const fourth = await place.start();
    expect(await failureOf(fourth)).toMatch(SUSPICION);
  });

  it("twice is not dialled for those behind it, which say so, nor by a reload", async () => {
    const place = await Place.make("throw", { TUND_CONNECT: "bad behind-bad" });
    await place.fault.arm();
    for (let times = 0; times < 2; times++) await place.startToEnd();
    const third = await place.start();
    process.kill(third.pid, "SIGHUP");
    await eventually(() => third.log().includes("reloading"));
    const { code, stderr } = await third.tunctl(["connect", "behind-bad"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /by way of bad: tund ended while handling bad, .*: 'tunctl connect bad' tries again/,
    );
    await place.fault.disarm();
    await ok(third, "connect", "bad");
    await ok(third, "connect", "behind-bad");
  });

  it("by bytes of a link that has been up for long is known too", async () => {
    const place = await Place.make("late throw");
    const tund = await place.start();
    await ok(tund, "connect", "bad");
    await place.fault.arm();
    await tund.tunctl(["check", "bad"]);
    await ended(tund);
    await eventually(() => expect(tund.log()).toMatch(/"hosts":\["bad"\].*tund cannot go on/));
  });

  it.each(["trust", "doctor"])(
    "by bytes that come when somebody looks at it with '%s' is known too",
    async (verb) => {
      const place = await Place.make("rejection");
      const tund = await place.start();
      await place.fault.arm();
      await tund.tunctl([verb, "bad"]);
      await ended(tund);
      await eventually(() => expect(tund.log()).toMatch(/"hosts":\["bad"\].*tund cannot go on/));
    },
  );

  it("once comes up as it was", async () => {
    const place = await Place.make("throw", { TUND_CONNECT: "testhost bad" });
    await place.fault.arm();
    await place.startToEnd();
    await place.fault.disarm();
    const second = await place.start();
    expect(await whenReady(second)).toEqual(["bad", "testhost"]);
  });

  it("is not known where that could not be written, or makes no sense, and tund starts all the same", async () => {
    const place = await Place.make("throw", { TUND_CONNECT: "testhost bad" });
    const file = join(place.home, "state", "ended-by.jsonl");
    await mkdir(file, { recursive: true, mode: 0o700 });
    await place.fault.arm();
    for (let times = 0; times < 3; times++) await place.startToEnd();
    await rm(file, { recursive: true });
    const now = Date.now();
    const senseless = [
      "{}",
      `{"at":"x","hosts":["testhost"]}`,
      "[",
      "null",
      `{"at":1e999,"hosts":["testhost"]}`,
    ];
    const long = JSON.stringify({ at: now, hosts: ["testhost".repeat(100)] });
    const old = [0, 1].map((n) => JSON.stringify({ at: now - n * 3_600_000, hosts: ["testhost"] }));
    await writeFile(file, [...senseless, long, long, ...old, "", '{"at":'].join("\n"));
    await place.fault.disarm();
    const tund = await place.start();
    expect(await whenReady(tund)).toEqual(["bad", "testhost"]);
  });
});
