import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
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
    "Host bastion *.example !x ev$(id)il;\n  User me\nhost=quay # no-alias\nInclude config.d/*.conf\nMatch host z\n",
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
  [
    "a name so that the shell will take it as it is",
    () => ["tunctl connect ev", String.raw`tunctl connect ev\$\(id\)il\;`],
  ],
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
    "an address in brackets",
    () => ["tunctl cancel -L '[::1]", `tunctl cancel -L '[::1]:${six}:127.0.0.1:${tunnel.echo.port}'`],
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
    "a spec of a host that stands before it",
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

    it("completes a file", async () => {
      const completed = `${home.path}/identity\\ of\\ mine`;
      for (const before of ["tunctl connect -i ", "tunctl --socket="])
        expect(await shell.completes(`${before}${home.path}/ident`)).toBe(`${before}${completed}`);
    });

    it("looks at the host behind the cursor too, where the shell shows it", async () => {
      const [left, to] = ["\u001b[D", `${remote}:127.0.0.1:${tunnel.echo.port}`];
      const at = (host: string) =>
        shell.completes(`tunctl cancel -R  ${host}`, `${left.repeat(host.length + 1)}\t`);
      expect(await at("testhost")).toMatch(new RegExp(`^tunctl cancel -R ${to} +testhost$`));
      // fish shows a completion no more of the line than what lies before the cursor.
      const spec = name === "fish" ? to : "";
      expect(await at("otherhost")).toBe(`tunctl cancel -R ${spec} otherhost`);
    });

    it("offers what can stand there, and says what it is where the shell can", async () => {
      const records = await shell.offers("tunctl cancel ");
      for (const word of ["website", "testhost", "otherhost"]) expect(records).toContain(word);
      expect(records).not.toContain("bastion");
      const options = await shell.offers("tunctl forward -");
      for (const word of ["--name", "--ephemeral", "-L", "-J", "--socket"]) expect(options).toContain(word);
      if (name === "bash") return;
      expect(records).toContain(`-L ${local}:127.0.0.1:${tunnel.echo.port} testhost, active`);
      expect(options).toContain("forget them when the daemon ends");
    });

    it("runs nothing of what was typed", async () => {
      const touched = join(home.path, `touched-by-${name}`);
      const baits = [
        `$(touch ${touched})`,
        `\`touch ${touched}\``,
        `(touch ${touched})`,
        `;touch ${touched};`,
      ];
      for (const bait of baits)
        for (const line of [
          `tunctl cancel ${bait}`,
          `tunctl cancel "${bait}`,
          `tunctl cancel -L ${bait}:`,
          `tunctl cancel ${bait} `,
          `tunctl ${bait} ca`,
          `tunctl connect -i ${bait}`,
          `tunctl connect -i "${bait}/`,
          `tunctl --socket=${bait}/`,
          `tunctl --socket ${bait} exit `,
        ])
          await shell.completes(line);
      expect(existsSync(touched)).toBe(false);
      // The bait is good: a shell that enters it runs it.
      await shell.runs(`true ${name === "fish" ? "(" : "$("}touch ${touched})`);
      expect(existsSync(touched)).toBe(true);
      await rm(touched);
    });

    it.each(noCases)("has nothing for %s", async (_, text) => {
      const typed = text();
      expect(await shell.completes(typed)).toBe(typed.trimEnd());
    });
  });
}

describe("what the scripts ask", () => {
  const asks = (words: string[], more: NodeJS.ProcessEnv = {}) =>
    run(process.execPath, ["dist/tunctl.cjs", "__complete", String(words.length - 1), ...words], {
      env: { ...env, ...more },
    });
  const silent = { code: 0, stdout: "words\n", stderr: "" };

  it("is answered with nothing when there is no daemon, and starts none", async () => {
    const socket = join(home.path, "nobody", "tund.sock");
    expect(await asks(["exit", ""], { TUND_SOCKET: socket })).toMatchObject(silent);
    expect(await asks(["--socket", socket, "cancel", "-L", ""])).toMatchObject(silent);
    expect(existsSync(socket)).toBe(false);
    // What needs no daemon is there all the same.
    const { stdout } = await asks(["connect", ""], { TUND_SOCKET: socket });
    expect(stdout).toBe(
      "words\nbastion\tof ssh_config\nev$(id)il;\tof ssh_config\nquay\tof ssh_config\nin cluded\tof ssh_config\nharbour\tof ssh_config\n",
    );
  });

  it("waits a second for a daemon that does not answer, and no longer", async () => {
    process.kill(tunnel.tund.pid, "SIGSTOP");
    const started = performance.now();
    try {
      expect(await asks(["exit", ""])).toMatchObject(silent);
    } finally {
      process.kill(tunnel.tund.pid, "SIGCONT");
    }
    const took = performance.now() - started;
    expect(took).toBeGreaterThan(900);
    expect(took).toBeLessThan(4000);
    expect((await asks(["exit", ""])).stdout).toContain("testhost");
  });

  it.each([[[]], [["x"]], [["-1", "list"]], [["9", "list", ""]]])(
    "is answered with no failure when it makes no sense: %j",
    async (argv) => {
      const { code, stderr } = await run(process.execPath, ["dist/tunctl.cjs", "__complete", ...argv], {
        env,
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    },
  );
});

describeWith({
  zsh: isThere("zsh"),
  "bash-completion": existsSync("/usr/share/bash-completion/bash_completion"),
  "script (bsdutils)": noTerminal === null,
})("the scripts, loaded on demand,", () => {
  it("are found by bash-completion and by zsh's fpath where packages put them", async () => {
    const completions = fileURLToPath(new URL("../../dist/completions", import.meta.url));
    const data = join(home.path, ".local", "share", "bash-completion");
    await mkdir(data, { recursive: true });
    await symlink(completions, join(data, "completions"));
    const ways: [ShellName, string[]][] = [
      ["bash", ["source /usr/share/bash-completion/bash_completion"]],
      ["zsh", [`fpath=(${completions} $fpath)`, "autoload -U compinit && compinit -u -D"]],
    ];
    for (const [name, lines] of ways) {
      const shell = await startShell(name, env, lines);
      onTestFinished(() => shell.end());
      const spec = `${local}:127.0.0.1:${tunnel.echo.port}`;
      for (const part of [`${local}`, `${local}:`, `${local}:127.0`])
        expect(await shell.completes(`tunctl cancel -L ${part}`)).toBe(`tunctl cancel -L ${spec}`);
      expect(await shell.completes("tunctl wait --for=rea")).toBe("tunctl wait --for=ready");
    }
  });
});

describe("the scripts", () => {
  it.each([
    ["bash", "tunctl"],
    ["zsh", "_tunctl"],
    ["fish", "tunctl.fish"],
  ])("for %s lies in dist/completions as packages want it, as it is printed", async (shell, file) => {
    const printed = await tunnel.ok("completion", shell);
    expect(readFileSync(join("dist", "completions", file), "utf8")).toBe(printed);
  });

  it("are not there for other shells", async () => {
    expect(await tunnel.tund.tunctl(["completion", "csh"])).toMatchObject({
      code: 2,
      stderr: "tunctl: completion takes one of bash, zsh, fish: 'csh'\n",
    });
  });
});
