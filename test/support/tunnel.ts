// A real sshd, the built tund, and tunctl between them: what most end-to-end tests start from.
import { expect, onTestFinished } from "vitest";
import type { Forward, Master } from "../../shared/records.ts";
import { startTund, type Tund } from "./daemon.ts";
import { echoServer, type LoopbackServer } from "./echo.ts";
import { freePort } from "./free-port.ts";
import { type Sshd, type SshdOptions, startSshd } from "./sshd.ts";

export interface Tunnel {
  sshd: Sshd;
  tund: Tund;
  echo: LoopbackServer;
  /** Runs tunctl, which must succeed and say nothing on stderr; gives its stdout. */
  ok(...args: string[]): Promise<string>;
  forwards(): Promise<Forward[]>;
  forwardOn(port: number): Promise<Forward | undefined>;
  master(): Promise<Master | undefined>;
  /** Sets up a forward to `host:port` or a path for the running test alone, and gives its port. */
  forwardTo(destination: string): Promise<number>;
  stop(): Promise<void>;
}

/** Starts all of it. For `beforeAll`; `stop` is for `afterAll`. */
export async function startTunnel(options: SshdOptions = {}): Promise<Tunnel> {
  const sshd = await startSshd(options);
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  const echo = await echoServer();
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await tund.tunctl(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };
  const forwards = async () => (JSON.parse(await ok("list", "--json")) as { forwards: Forward[] }).forwards;
  return {
    sshd,
    tund,
    echo,
    ok,
    forwards,
    forwardOn: async (port) => (await forwards()).find(({ bind }) => "port" in bind && bind.port === port),
    master: async () => (JSON.parse(await ok("status", "--json")) as { masters: Master[] }).masters[0],
    forwardTo: async (destination) => {
      const port = await freePort();
      await ok("forward", "-L", `${port}:${destination}`, "testhost");
      onTestFinished(async () => void (await tund.tunctl(["cancel", "-L", String(port), "testhost"])));
      return port;
    },
    stop: async () => {
      await tund.stop();
      await echo.close();
      await sshd.stop();
    },
  };
}

/** Closes a server when the running test is over. */
export const closing = <T extends LoopbackServer>(server: T): T => {
  onTestFinished(() => server.close());
  return server;
};
