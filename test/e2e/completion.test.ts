import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeWith, isThere } from "../programs/program.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { type Shell, type ShellName, shells, startShell } from "../support/shell.ts";
import { tempDir, type TempDir } from "../support/temp-dir.ts";
import { noTerminal } from "../support/terminal.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;
let home: TempDir;
let [local, remote, socks, six] = [0, 0, 0, 0];
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  tunnel = await startTunnel();
  home = await tempDir();
  await tunnel.sshd.addHost("otherhost", { ServerAliveInterval: 44 });
  [local, remote, socks, six] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const to = `127.0.0.1:${tunnel.echo.port}`;
  await tunnel.ok("forward", "--name", "website", "-L", `${local}:${to}`, "testhost");
  await tunnel.ok("forward", "-R", `${remote}:${to}`, "-D", String(socks), "testhost");
  await tunnel.ok("forward", "-L", `[::1]:${six}:${to}`, "testhost");
  await tunnel.ok("connect", "otherhost");
  await mkdir(join(home.path, ".ssh", "config.d"), { recursive: true });
  await writeFile(
    join(home.path, ".ssh", "config"),
    "Host bastion *.example !x\n  User me\nhost=quay # no-alias\nInclude config.d/*.conf\nMatch host z\n",
  );
  await writeFile(join(home.path, ".ssh", "config.d", "a.conf"), 'Host "in cluded" harbour\n');
  await writeFile(join(home.path, "identity of mine"), "");
  env = { PATH: process.env["PATH"], LANG: "C.UTF-8", HOME: home.path, TUND_SOCKET: tunnel.tund.socket };
});
afterAll(async () => {
  await tunnel?.stop();
  await home?.remove();
});

/** What a word is completed to, when only one thing can stand there. */
const cases: [string, () => [string, string]][] = [
  ["a verb", () => ["tunctl sta", "tunctl status"]],
  ["a verb behind a global option", () => ["tunctl --json sta", "tunctl --json status"]],
  ["an option", () => ["tunctl cancel --dr", "tunctl cancel --drain"]],
  ["a global option behind a verb", () => ["tunctl list --js", "tunctl list --json"]],
  ["a shell", () => ["tunctl completion f", "tunctl completion fish"]],
  ["a verb for help", () => ["tunctl help forw", "tunctl help forward"]],
  ["a state", () => ["tunctl wait testhost --for rea", "tunctl wait testhost --for ready"]],
  ["a state behind =", () => ["tunctl wait --for=rea", "tunctl wait --for=ready"]],
  ["a host that stands", () => ["tunctl exit testh", "tunctl exit testhost"]],
  ["an alias of ssh_config", () => ["tunctl connect bas", "tunctl connect bastion"]],
  ["an alias behind =", () => ["tunctl connect qu", "tunctl connect quay"]],
  ["an alias of an included file", () => ["tunctl forward -D 1 harb", "tunctl forward -D 1 harbour"]],
  ["one of several jump hosts", () => ["tunctl connect -J bastion,qu", "tunctl connect -J bastion,quay"]],
  ["a forward's name", () => ["tunctl cancel web", "tunctl cancel website"]],
  ["a forward's name to wait for", () => ["tunctl wait web", "tunctl wait website"]],
  ["what ssh -O takes", () => ["tunctl -O chec", "tunctl -O check"]],
  ["a host for ssh's spelling", () => ["tunctl -O check testh", "tunctl -O check testhost"]],
  ["a spec", () => [`tunctl cancel -L ${local}`, `tunctl cancel -L ${local}:127.0.0.1:${tunnel.echo.port}`]],
  [
    "a spec behind a colon",
    () => [`tunctl cancel -L ${local}:`, `tunctl cancel -L ${local}:127.0.0.1:${tunnel.echo.port}`],
  ],
  [
    "a spec in the middle of a part",
    () => [`tunctl cancel -L ${local}:127.0`, `tunctl cancel -L ${local}:127.0.0.1:${tunnel.echo.port}`],
  ],
  [
    "a spec in the option's word",
    () => [`tunctl cancel -D${socks}`.slice(0, -1), `tunctl cancel -D${socks}`],
  ],
  [
    "a spec in ssh's spelling",
    () => [`tunctl -O cancel -R ${remote}`, `tunctl -O cancel -R ${remote}:127.0.0.1:${tunnel.echo.port}`],
  ],
  [
    "a spec of the host on the line",
    () => ["tunctl cancel testhost -R ", `tunctl cancel testhost -R ${remote}:127.0.0.1:${tunnel.echo.port}`],
  ],
];

/** What the line stays, since nothing of the kind can stand there. */
const noCases: [string, () => string][] = [
  ["a spec of another host", () => "tunctl cancel otherhost -R "],
  ["a spec of a kind that has none", () => "tunctl cancel otherhost -D "],
  ["a spec of a new forward", () => "tunctl forward -R "],
  ["an alias for what must stand", () => "tunctl exit bas"],
  ["an unknown verb", () => "tunctl frobnicate web"],
];

for (const name of shells) shellTests(name);

function shellTests(name: ShellName): void {
  describeWith({ [name]: isThere(name), "script (bsdutils)": noTerminal === null })(`in ${name}, TAB`, () => {
    let shell: Shell;
    beforeAll(async () => void (shell = await startShell(name, env)));
    afterAll(() => shell?.end());

    it.each(cases)("completes %s", async (_, texts) => {
      const [typed, completed] = texts();
      expect(await shell.completes(typed)).toBe(completed);
    });

    it.each(noCases)("has nothing for %s", async (_, text) => {
      const typed = text();
      expect(await shell.completes(typed)).toBe(typed.trimEnd());
    });
  });
}
