// `npm run demo`: the product in a dozen commands, on this machine alone. Every claim that it prints is checked.
import { mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import type { Forward, Master } from "../shared/records.ts";
import { startTund, type Tund } from "../test/support/daemon.ts";
import { run } from "../test/support/run.ts";
import { refuses } from "../test/support/tcp.ts";
import { tempDir } from "../test/support/temp-dir.ts";
import { type DemoNetwork, startDemoNetwork } from "./demo-network.ts";
import { ask, check, DemoShell } from "./demo-shell.ts";

const HOST = "bastion";
const DEADLINE_MS = 60_000;

/** What has to be undone, in the order it was done. */
type Cleanup = (() => Promise<unknown>)[];

/** A port that is free: the one that is asked for, or any. */
const freePort = (wanted: number): Promise<number> =>
  new Promise((done) => {
    const server = createServer();
    server.on("error", () => done(freePort(0)));
    server.listen(wanted, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });

/** Writes what a user of ssh has, and gives the path of the ssh_config. */
async function writeConfig(home: string, network: DemoNetwork): Promise<string> {
  const directory = join(home, ".ssh");
  await mkdir(directory, { mode: 0o700 });
  const write = async (name: string, text: string): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text.endsWith("\n") ? text : `${text}\n`, { mode: 0o600 });
    return path;
  };
  const identity = await write("id_ed25519", network.identity);
  const knownHosts = await write("known_hosts", `[127.0.0.1]:${network.port} ${network.hostKey}`);
  const config = [
    `Host ${HOST}`,
    "  HostName 127.0.0.1",
    `  Port ${network.port}`,
    "  User demo",
    `  IdentityFile "${identity}"`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile "${knownHosts}"`,
    "  GlobalKnownHostsFile none",
    "  StrictHostKeyChecking yes",
  ];
  return write("config", config.join("\n"));
}

const closed = async (port: number): Promise<boolean> =>
  (await refuses(port)) && (await refuses(port, "::1"));

interface Scene {
  shell: DemoShell;
  tund: Tund;
  network: DemoNetwork;
  ports: readonly [number, number];
}

/** The story itself. */
async function tour({ shell, tund, network, ports: [first, second] }: Scene): Promise<void> {
  shell.remark("Reach a web server that only the bastion can see. tund logs in on the way.");
  await shell.tunctl(tund, "forward", "-L", `${first}:wiki:80`, HOST);
  check((await shell.curl(first)).stdout.includes("the wiki"), "the wiki answers through the forward");

  shell.remark("What is forwarded, and whether it works, is always one command away.");
  await shell.tunctl(tund, "list");
  const { forwards } = await ask<{ forwards: Forward[] }>(tund, "list");
  check(forwards.length === 1 && forwards[0]?.state === "active", "one forward is active");

  shell.remark("Add another forward while the first runs: no new login, the same connection carries both.");
  await shell.tunctl(tund, "forward", "-L", `${second}:metrics:80`, HOST);
  check((await shell.curl(second)).stdout.includes("metrics"), "the second forward answers");
  await shell.tunctl(tund, "status");
  const { masters } = await ask<{ masters: Master[] }>(tund, "status");
  check(masters.length === 1 && masters[0]?.forwards === 2, "one master has both forwards");
  check(network.connections() === 1, "the bastion has one connection");

  shell.remark("Cancel the first: its port is closed, and the second does not notice.");
  await shell.tunctl(tund, "cancel", "-L", String(first), HOST);
  check((await shell.curl(first)).code !== 0, "the cancelled port does not answer");
  check(await closed(first), "the cancelled port refuses");
  check((await shell.curl(second)).stdout.includes("metrics"), "the second forward still answers");
  check(network.logins() === 1, "the bastion has seen one login in all");

  shell.remark("Hang up.");
  await shell.tunctl(tund, "exit", HOST);
  check(await closed(second), "the second port is closed");
  const rest = await ask<{ forwards: Forward[] }>(tund, "list");
  check(rest.forwards.length === 0, "no forward is left");
}

async function play(shell: DemoShell, cleanup: Cleanup): Promise<void> {
  await run("ssh", ["-V"]).catch(() => {
    throw new Error("there is no `ssh` on PATH, and tund reads ssh_config by it: install OpenSSH's client");
  });
  const home = await tempDir();
  cleanup.push(() => home.remove());
  const network = await startDemoNetwork({
    "wiki:80": "Hello from the wiki, which only the bastion can reach.",
    "metrics:80": "Hello from metrics, over the same SSH connection.",
  });
  cleanup.push(() => network.close());
  const config = await writeConfig(home.path, network);
  const ports = [await freePort(8080), await freePort(8081)] as const;

  const yourEnd = `localhost:${ports[0]}, localhost:${ports[1]}`;
  shell.say(
    "A bastion that speaks SSH runs inside this demo, and behind it two web servers, wiki and metrics:\n",
  );
  shell.say(`  you ── ${yourEnd} ── tund ══ one SSH connection ══ ${HOST} ── wiki:80, metrics:80\n`);
  shell.command("tund &");
  const tund = await startTund({ home: home.path, env: { TUND_SSH_CONFIG: config, NO_COLOR: "1" } });
  cleanup.push(() => tund.stop());
  await tour({ shell, tund, network, ports }).catch((error: unknown) => {
    shell.say(`\nthe end of tund's log:\n${tund.log().trimEnd().split("\n").slice(-10).join("\n")}`);
    throw error;
  });
}

/** What ends the demo from outside: Ctrl-C, a terminal or pipe that was closed, or too much time. */
const interruption = (): Promise<never> =>
  new Promise((_, fail) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.once(signal, () => fail(new Error(`interrupted (${signal})`)));
    process.stdout.on("error", fail);
    setTimeout(() => fail(new Error(`it took more than ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
  });

const started = Date.now();
const shell = new DemoShell(process.stdout.isTTY && !process.env["NO_COLOR"]);
const cleanup: Cleanup = [];
try {
  await Promise.race([play(shell, cleanup), interruption()]);
  shell.remark(`That was tunctl: all of it as promised, in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
} catch (error) {
  shell.close();
  console.error(`\ndemo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
for (const undo of cleanup.toReversed())
  await undo().catch((error: unknown) => console.error(`demo: cleaning up: ${String(error)}`));
// A play that was interrupted may still wait for something that is gone.
process.exit();
