// A daemon with a forward to a host that nothing happens to, beside hosts that things happen to.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { messageOf } from "../../shared/errors.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { type RawServer, type RawServerOptions, startRawServer } from "../support/raw-server.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { works } from "../support/tcp.ts";

export interface Beside {
  tund: Tund;
  /** What became of the daemon, or of the forward to the other host; null for nothing. */
  harm: () => Promise<string | null>;
}

/** Starts one that knows the hosts of these ssh_config files, for the running test. */
export async function startBeside(...configs: readonly string[]): Promise<Beside> {
  const steady = await startSshd();
  await steady.addHost("steady");
  const echo = await echoServer();
  const file = join(steady.directory, "all_config");
  const texts = await Promise.all([...configs, steady.sshConfig].map((path) => readFile(path, "utf8")));
  await writeFile(file, texts.join("\n"));
  const tund = await startTund({ env: { TUND_SSH_CONFIG: file } });
  onTestFinished(async () => {
    await tund.stop();
    await Promise.all([steady.stop(), echo.close()]);
  });
  const port = await freePort();
  const made = await tund.tunctl(["forward", "-L", `${port}:127.0.0.1:${echo.port}`, "steady"]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  const harm = async (): Promise<string | null> => {
    try {
      await works(port);
    } catch (error) {
      return `the other host's forward: ${messageOf(error)}`;
    }
    const { stdout } = await tund.tunctl(["status", "--json"]);
    const { daemon } = JSON.parse(stdout) as { daemon: { pid: number } };
    return daemon.pid === tund.pid ? null : `another daemon answers: ${daemon.pid}`;
  };
  return { tund, harm };
}

/** An sshd for the running test, with these lines of sshd_config. */
export async function sshdWith(config: readonly string[] = []): Promise<Sshd> {
  const sshd = await startSshd({ config });
  onTestFinished(() => sshd.stop());
  return sshd;
}

/** A server that says what it is told to, for the running test. */
export async function rawServer(options: RawServerOptions): Promise<RawServer> {
  const server = await startRawServer(options);
  onTestFinished(() => server.stop());
  return server;
}
