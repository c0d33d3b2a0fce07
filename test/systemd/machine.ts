// A machine that a real systemd has booted, for one test file: `lab` makes it, in namespaces of its own.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe } from "vitest";
import { type Background, startInBackground } from "../support/background.ts";
import { run, type RunOptions } from "../support/run.ts";
import { tempDir } from "../support/temp-dir.ts";

const lab = fileURLToPath(new URL("lab", import.meta.url));
const runTs = fileURLToPath(new URL("../../scripts/run-ts.mjs", import.meta.url));

export interface Machine {
  /** Runs a script of bash in it, as root. Gives its stdout, trimmed. @throws Error with all it said when it fails */
  sh(script: string, options?: RunOptions): Promise<string>;
  /** Runs a TypeScript file of ours in its network, and outside of all else of it. */
  startInNetwork(file: string, args: readonly string[]): Promise<Background>;
  /** what starts a program in its network alone */
  network: readonly string[];
  /** Cuts its power and boots it again: what was on disk is there. */
  reboot(): Promise<void>;
  /** Ends it, and forgets all that was written in it. */
  stop(): Promise<void>;
}

const programs = ["systemctl", "unshare", "nsenter", "ip", "dbus-daemon"];

/** `describe`, or a skipped one that prints why there can be no such machine. */
export function describeOnMachine(): typeof describe | typeof describe.skip {
  const why = whyNone();
  if (why === undefined) return describe;
  console.log(`skipped: ${why}`);
  return describe.skip;
}

function whyNone(): string | undefined {
  if (process.getuid?.() !== 0) return "booting a systemd in namespaces needs root";
  const missing = programs.filter(
    (program) => spawnSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" }).status !== 0,
  );
  if (missing.length > 0) return `${missing.join(", ")} not installed`;
  return existsSync("/lib/systemd/systemd") ? undefined : "systemd not installed";
}

/** Boots one. Who boots it stops it. @throws Error with what the boot said */
export async function bootMachine(): Promise<Machine> {
  const directory = await tempDir();
  const { path } = directory;
  const must = async (args: readonly string[], options: RunOptions = {}) => {
    const { code, signal, stdout, stderr } = await run(lab, args, options);
    if (code !== 0) throw new Error(`${args.join(" ")}: ${signal ?? `exit ${code}`}\n${stdout}${stderr}`);
    return stdout.trim();
  };
  const stop = async () => {
    await run(lab, ["stop", path]);
    await directory.remove();
  };
  try {
    await must(["start", path], { deadlineMs: 45_000 });
  } catch (error) {
    await stop();
    throw error;
  }
  const network = ["nsenter", "-t", readFileSync(join(path, "outer"), "utf8").trim(), "-n"];
  return {
    network,
    sh: (script, options) => must(["exec", path, "bash", "-euc", script], options),
    startInNetwork(file, args) {
      const [program = "", ...rest] = [...network, process.execPath, runTs, file, ...args];
      return startInBackground(program, rest, { env: process.env, cwd: "/" });
    },
    reboot: async () => void (await must(["reboot", path], { deadlineMs: 45_000 })),
    stop,
  };
}

/** Puts tund there as a package does: programs, units, user; nothing is started. */
export async function install(machine: Machine): Promise<void> {
  await placePrograms(machine, "/usr/lib/tunctl", "/usr/lib/tunctl");
  await machine.sh(`
    mkdir -p /etc/sysusers.d
    cp /opt/tunctl/dist/man/tund.8 /usr/share/man/man8/
    cp /opt/tunctl/systemd/system/* /etc/systemd/system/
    cp /opt/tunctl/systemd/user/* /etc/systemd/user/
    cp /opt/tunctl/systemd/tund.sysusers /etc/sysusers.d/tund.conf
    systemd-sysusers
    systemctl daemon-reload`);
}

/** Puts tund there as `npm install -g` does: programs alone, and the units where the package has them. */
export async function installByNpm(machine: Machine): Promise<void> {
  const place = "/usr/local/lib/node_modules/tunctl";
  await placePrograms(machine, place, `${place}/dist`);
  await machine.sh(`cp -r /opt/tunctl/systemd ${place}/`);
}

async function placePrograms(machine: Machine, place: string, dist: string): Promise<void> {
  await machine.sh(`
    mkdir -p ${dist}
    cp /opt/tunctl/dist/*.cjs /opt/tunctl/dist/*.node ${dist}/
    chmod -R a+rX ${place}
    ln -s ${dist}/tund.cjs /usr/bin/tund
    ln -s ${dist}/tunctl.cjs /usr/bin/tunctl`);
  // Node may be where no service finds it, or no other user may look.
  if (spawnSync("test", ["-x", "/usr/bin/node"]).status !== 0)
    await machine.sh(`cp '${realpathSync(process.execPath)}' /usr/local/bin/node`);
}
