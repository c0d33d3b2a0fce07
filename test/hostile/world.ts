// A built daemon with a hostile server among its hosts, and with a bystander: a forward of another master, over a real sshd,
// through which a byte goes back and forth all the time.
import { type Socket } from "node:net";
import { request } from "node:http";
import { expect } from "vitest";
import { type LoopbackServer, echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import {
  openDescriptors,
  residentBytes,
  settledDescriptors,
  withoutProcessor,
} from "../support/process-figures.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { dialLoopback } from "../support/tcp.ts";
import { type HostileServer, startHostileServer } from "./server.ts";

const MB = 1024 * 1024;
// What collects and returns memory has its own pace; what is kept without a bound is far beyond this in any of the scenarios.
const MOST_GROWTH = 96 * MB;
const TICK_MS = 20;
// The bystander's harness measures, and this one sees what stands still. This machine may have other work: what the kernel has
// tund wait for a processor is not counted.
const LATEST_MS = 3000;

export interface World {
  tund: Tund;
  sshd: Sshd;
  server: HostileServer;
  echo: LoopbackServer;
  /** Sees that all is as it was before: the daemon, its memory, its descriptors, and what the bystander waited. */
  isUnharmed(options?: { keepsLinks?: boolean }): Promise<void>;
  /** Begins anew with what there is: descriptors and memory are compared with now. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

/** Builds it. Whoever does stops it. */
export async function startWorld(options: TundOptions = {}): Promise<World> {
  const [server, echo, sshd] = await Promise.all([startHostileServer(), echoServer(), startSshd()]);
  const { port: Port, user: User, identity: IdentityFile, knownHosts: UserKnownHostsFile } = sshd;
  await server.addHost("bystander", { Port, User, IdentityFile, UserKnownHostsFile });
  const tund = await startTund({ ...options, env: { TUND_SSH_CONFIG: server.sshConfig, ...options.env } });
  const port = await forwarded(tund, echo.port);
  const [bystander, control] = await Promise.all([Bystander.at(port), Bystander.at(echo.port)]);
  let [descriptors, memory, delay] = [0, 0, 0];
  const settle = async () => {
    descriptors = await settledDescriptors(tund.pid);
    memory = residentBytes(tund.pid);
    delay = withoutProcessor(tund.pid);
    bystander.worst = control.worst = 0;
  };
  await settle();
  return {
    tund,
    sshd,
    server,
    echo,
    settle,
    isUnharmed: async ({ keepsLinks = false } = {}) => {
      if (!keepsLinks) server.drop();
      expect(await statusCode(tund.socket), `tund's log ends: ${tund.log().slice(-4000)}`).toBe(200);
      const late = Math.round(bystander.late - control.late - (withoutProcessor(tund.pid) - delay));
      expect(late, "how long the bystander waited, in ms").toBeLessThan(LATEST_MS);
      await eventually(() => expect(openDescriptors(tund.pid)).toBeLessThanOrEqual(descriptors), {
        deadlineMs: 20_000,
      });
      const grown = residentBytes(tund.pid) - memory;
      expect(grown / MB, "how much its memory grew, in MiB").toBeLessThan(MOST_GROWTH / MB);
      delay = withoutProcessor(tund.pid);
      bystander.worst = control.worst = 0;
    },
    stop: async () => {
      bystander.leave();
      control.leave();
      await tund.stop();
      await Promise.all([server.stop(), echo.close(), sshd.stop()]);
    },
  };
}

/** A forward of the bystander's master to the echo. */
function forwarded(tund: Tund, to: number): Promise<number> {
  return eventually(async () => {
    const port = await freePort();
    const { code, stderr } = await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${to}`, "bystander"]);
    if (code !== 0) throw new Error(stderr); // the port may have been taken meanwhile
    return port;
  });
}

/** The status of an answer of the control API. */
function statusCode(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: "/v1/status", agent: false, timeout: 10_000 }, (answer) => {
      answer.resume().once("end", () => resolve(answer.statusCode));
    });
    asked.once("timeout", () => asked.destroy(new Error("tund does not answer")));
    asked.once("error", reject);
    asked.end();
  });
}

/** Sends a byte and waits for it, again and again. */
class Bystander {
  readonly #socket: Socket;
  #asked: number | undefined;
  #isOver = false;
  /** the longest that a byte took, in ms */
  worst = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", () => {
      this.worst = Math.max(this.worst, performance.now() - (this.#asked ?? 0));
      this.#asked = undefined;
      setTimeout(() => this.#ask(), TICK_MS);
    });
    this.#ask();
  }

  static async at(port: number): Promise<Bystander> {
    return new Bystander(await dialLoopback(port));
  }

  /** The longest so far, the one that is under way included. A connection that ended is late for ever. */
  get late(): number {
    const waiting = this.#asked === undefined ? 0 : performance.now() - this.#asked;
    return this.#socket.destroyed && !this.#isOver ? Infinity : Math.max(this.worst, waiting);
  }

  leave(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #ask(): void {
    if (this.#socket.destroyed) return;
    this.#asked = performance.now();
    this.#socket.write(".");
  }
}
