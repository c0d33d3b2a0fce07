// The Debian package: installed, upgraded under load, removed and purged by dpkg on a machine that systemd has booted.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { run } from "../support/run.ts";
import { describeOnMachine } from "./machine.ts";
import { makeWorld, type World } from "./world.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const [ECHO, FORWARD] = [4001, 4002];

// In the project, which the machine sees; elsewhere than `npm run deb` has its own.
const out = join("node_modules", ".cache", `deb-${process.pid}`);
const seen = join("/opt/tunctl", out);

/** Builds one. Gives its path, from the project on. */
async function buildDeb(version: string, { directory = out, env = {} } = {}): Promise<string> {
  const { code, stdout, stderr } = await run(
    process.execPath,
    ["scripts/deb.mjs", "--version", version, "--out", join(project, directory)],
    { cwd: project, env: { ...process.env, ...env }, deadlineMs: 900_000 },
  );
  if (code !== 0) throw new Error(`deb.mjs: ${stderr}`);
  return stdout.trim();
}

// Of the machine's files, all but what is written there without us.
const listFiles = `find /etc /usr /var /run -xdev \\( -path /var/log -o -path /var/lib/dpkg -o -path /var/cache \
  -o -path /run/systemd -o -path /run/log -o -path /var/lib/systemd/timers \\) -prune -o -printf '%y %m %p\\n' | sort`;

/** Those of `some` that are not among `others`. */
function lacking(some: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return some.filter((one) => !known.has(one));
}

function whyNot(): string | undefined {
  const { status, stdout } = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Abbrev}", "nodejs"], {
    encoding: "utf8",
  });
  return status === 0 && stdout.startsWith("ii") ? undefined : "the package nodejs is not installed";
}

const why = whyNot();
if (why !== undefined) console.log(`skipped: ${why}`);
const hasLintian = existsSync("/usr/bin/lintian");
if (!hasLintian) console.log("skipped: lintian is not installed");

(why === undefined ? describeOnMachine() : describe.skip)("the Debian package", () => {
  let world: World;
  let before: string[];
  let [older, newer] = ["", ""];
  /** pid of a daemon of hers */
  let alice = "";
  const sh = (script: string) => world.machine.sh(script);
  const property = (name: string): Promise<string> => sh(`systemctl show tund.service -p ${name} --value`);
  const states = (verb: string): Promise<string> => sh(`systemctl ${verb} tund.socket tund.service || true`);
  const install = (file: string): Promise<string> => sh(`dpkg -i ${seen}/${file} 2>&1`);

  beforeAll(async () => {
    await mkdir(join(project, out), { recursive: true });
    // Not at the same time: the first may have to compile.
    await buildDeb("1.0.0");
    await buildDeb("1.1.0");
    const architecture = (await run("dpkg", ["--print-architecture"])).stdout.trim();
    [older, newer] = [`tunctl_1.0.0_${architecture}.deb`, `tunctl_1.1.0_${architecture}.deb`];
    world = await makeWorld(async (machine) => {
      // Images for containers forbid packages to start anything.
      await machine.sh("rm -f /usr/sbin/policy-rc.d");
      await machine.sh("useradd -m alice; loginctl enable-linger alice");
      await eventually(() => machine.sh("systemctl is-active user@$(id -u alice)"));
      before = (await machine.sh(listFiles)).split("\n");
      await machine.sh(`dpkg -i ${seen}/${older}`);
    });
    await world.letIn("tund");
  }, 900_000);
  afterAll(async () => {
    await world?.stop();
    await rm(join(project, out), { recursive: true, force: true });
  });

  it("has the same bytes wherever and whenever it is built", async () => {
    const again = join(out, "again");
    await buildDeb("1.0.0", { directory: again, env: { TZ: "Asia/Tokyo", LC_ALL: "C", TMPDIR: project } });
    const sums = await Promise.all(
      [out, again].map(async (directory) =>
        createHash("sha256")
          .update(await readFile(join(project, directory, older)))
          .digest("hex"),
      ),
    );
    expect(sums[0]).toBe(sums[1]);
  });

  it.skipIf(!hasLintian)("has neither errors nor warnings for lintian", async () => {
    const { stdout, code } = await run("lintian", ["--allow-root", "--fail-on=error,warning", older], {
      cwd: join(project, out),
    });
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });

  it("starts its socket alone when it is installed, and both with the machine", async () => {
    expect(await states("is-active")).toBe("active\ninactive");
    expect(await states("is-enabled")).toBe("enabled\nenabled");
    expect(await sh("stat -c '%U %a' /var/lib/tund")).toBe("tund 700");
  });

  it("has units that systemd finds nothing wrong with", async () => {
    expect(await sh("systemd-analyze verify tund.service tund.socket 2>&1")).toBe("");
    expect(await sh("XDG_RUNTIME_DIR=/tmp systemd-analyze --user verify tund.service tund.socket 2>&1")).toBe(
      "",
    );
  });

  it("has the ciphers compiled for every Node that is supported, and each was tried with its own", async () => {
    const abis = await sh("dpkg -L tunctl | sed -n 's,.*/sshcrypto.node/\\([0-9]*\\).node$,\\1,p' | sort");
    expect(abis.split("\n")).toEqual(["115", "127", "137", "147"]);
  });

  it("names what is bundled, with its licence, in its bill of materials and its copyright file", async () => {
    const bill = JSON.parse(await sh("cat /usr/share/doc/tunctl/sbom.cdx.json")) as {
      components: { name: string; version: string }[];
    };
    const copyright = await sh("cat /usr/share/doc/tunctl/copyright");
    expect(bill.components.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["fastify", "nan", "ssh2"]),
    );
    for (const { name, version } of bill.components)
      expect(copyright).toContain(`Comment: ${name} ${version}`);
    expect(copyright).toContain("formdata-polyfill. MIT License.");
  });

  it("has its man pages and completions where they are looked for", async () => {
    expect(await sh("man -w 1 tunctl; man -w 8 tund")).toMatch(/man1\/tunctl.*\n.*man8\/tund/);
    const [bash, zsh, fish] = [
      "bash-completion/completions/tunctl",
      "zsh/vendor-completions/_tunctl",
      "fish/vendor_completions.d/tunctl.fish",
    ];
    await sh(`cd /usr/share; test -s ${bash} -a -s ${zsh} -a -s ${fish}`);
  });

  it("has a daemon that the first tunctl starts, with all that was compiled", async () => {
    expect(await sh("tunctl status --json")).toContain('"daemon"');
    expect(await states("is-active")).toBe("active\nactive");
    const findings = await sh("tunctl doctor");
    expect(findings).toMatch(/ciphers +compiled/);
    expect(findings).toMatch(/native +peers are checked/);
  });

  it("refuses nobody and cuts nobody off while it is upgraded under 50 connections a second", async () => {
    const visitors = await world.expectVisitors(ECHO, FORWARD);
    await sh(`tunctl forward -L ${FORWARD}:127.0.0.1:${ECHO} testhost`);
    const pid = await property("MainPID");
    visitors.open();
    await install(newer);
    expect(await property("MainPID")).not.toBe(pid);
    await sh("tunctl wait testhost");
    const { served, longestMs, ...others } = await visitors.close();
    console.log(`measured: ${served} served during the upgrade; the longest waited ${longestMs} ms`);
    expect(others).toEqual({ refused: 0, reset: 0, late: 0 });
    expect(served).toBeGreaterThan(50);
    expect(await sh("dpkg-query -W -f '${Version}' tunctl")).toBe("1.1.0");
  });

  it("leaves what the administrator has stopped and disabled as it is, and people's own daemons", async () => {
    await sh("systemctl --user -M alice@ start tund.service");
    alice = await sh("systemctl --user -M alice@ show tund.service -p MainPID --value");
    await sh("systemctl disable --now tund.socket tund.service 2>&1");
    await install(newer);
    expect(await states("is-active")).toBe("inactive\ninactive");
    expect(await states("is-enabled")).toBe("disabled\ndisabled");
    await sh("systemctl enable --now tund.socket tund.service 2>&1");
    await sh(`kill -0 ${alice}`);
  });

  it("keeps settings and state when it is removed, and takes units and daemons away", async () => {
    const pid = await property("MainPID");
    await sh("dpkg -r tunctl 2>&1");
    expect(await sh(`kill -0 ${pid} 2>&1 || true`)).toMatch(/No such process/);
    expect(await sh(`kill -0 ${alice} 2>&1 || true`)).toMatch(/No such process/);
    expect(await sh("systemctl list-unit-files --no-legend 'tund*' || true")).toBe("");
    expect(await states("is-active")).toBe("inactive\ninactive");
    await sh("test -f /etc/default/tund -a -f /var/lib/tund/state.json -a -f /var/lib/tund/.ssh/id_test");
    await sh("! test -e /run/tund -o -e /usr/lib/tunctl -o -e /usr/bin/tund");
  });

  it("has its forwards back when it is installed again", async () => {
    await install(newer);
    expect(await states("is-active")).toBe("active\ninactive");
    await eventually(async () => /"state": "active"/.test(await sh("tunctl list --json")));
  });

  it("has its daemon and its forwards back when the machine comes up", async () => {
    await world.machine.reboot();
    expect(await states("is-active")).toBe("active\nactive");
    await eventually(async () => /"state": "active"/.test(await sh("tunctl list --json")));
  });

  it("leaves nothing but the user tund when it is purged", async () => {
    await sh("dpkg -P tunctl 2>&1");
    const after = (await sh(listFiles)).split("\n");
    expect(lacking(after, before)).toEqual([]);
    expect(lacking(before, after)).toEqual([]);
    expect(await sh("getent passwd tund")).toContain("/var/lib/tund");
    expect(await sh("systemctl list-units --failed --no-legend 'tund*'")).toBe("");
  });
});
