// Host keys that are accepted and cannot be written to known_hosts.
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Finding } from "../../shared/logins.ts";
import type { Master } from "../../shared/records.ts";
import { askpass } from "../support/askpass.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

let sshd: Sshd;
let tund: Tund;
let place: TempDir;
/** below a file, where nothing can be made */
let unwritable: string;

beforeEach(async () => {
  place = await tempDir();
  sshd = await startSshd();
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  await writeFile(join(place.path, "taken"), "");
  unwritable = join(place.path, "taken", "known_hosts");
  onTestFinished(async () => {
    await tund.stop();
    await sshd.stop();
    await place.remove();
  });
});

const name = () => `[127.0.0.1]:${sshd.port}`;

/** The same server has another key from now on. Gives that key's fingerprint. */
async function changeKey(): Promise<string> {
  const other = await makeKey(join(sshd.directory, `other-${process.hrtime.bigint()}`), "ed25519");
  await sshd.down();
  for (const end of ["", ".pub"]) await copyFile(`${other.path}${end}`, `${sshd.hostKeys[0]?.path}${end}`);
  await sshd.up();
  return (await run("ssh-keygen", ["-lf", `${other.path}.pub`])).stdout.split(" ")[1] ?? "";
}

const hostWith = (settings: Record<string, string>) =>
  sshd.addHost("h", { UserKnownHostsFile: unwritable, StrictHostKeyChecking: "accept-new", ...settings });

async function connectAnew() {
  await tund.tunctl(["exit", "h"]);
  return tund.tunctl(["connect", "h"]);
}

async function problems(): Promise<string[]> {
  const { stdout } = await tund.tunctl(["doctor", "--json", "h"]);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return findings.filter(({ level }) => level === "problem").map(({ message }) => message);
}

describe("a key that is accepted and cannot be written", () => {
  it("is told to whoever connects, and kept in memory, so that another one is refused until it is trusted", async () => {
    await hostWith({});
    const first = await tund.tunctl(["connect", "h"]);
    expect(first.code).toBe(0);
    expect(first.stderr).toContain(`${unwritable} cannot be written`);
    expect(await connectAnew()).toMatchObject({ code: 0, stderr: first.stderr });
    expect((await problems()).join("\n")).toMatch(/a key was recorded in memory at 20\S+Z alone/);

    const fingerprint = await changeKey();
    const changed = await connectAnew();
    expect(changed.code).toBe(6);
    expect(changed.stderr).toMatch(
      /another was recorded in memory at 20\d\d-\S+Z\. .*'tunctl trust h' replaces it/,
    );

    const trusted = await tund.tunctl(["trust", "--fingerprint", fingerprint, "h"]);
    expect(trusted.code).toBe(1);
    expect(trusted.stderr).toContain(`${unwritable} cannot be written`);
    expect(await connectAnew()).toMatchObject({ code: 0 });
    await changeKey();
    expect(await connectAnew()).toMatchObject({ code: 6 });
  });

  it("is written as soon as that is put right, and is in memory no more", async () => {
    await hostWith({});
    expect(await tund.tunctl(["connect", "h"])).toMatchObject({ code: 0 });
    await rm(join(place.path, "taken"));
    await mkdir(join(place.path, "taken"));
    expect(await connectAnew()).toMatchObject({ code: 0, stderr: "" });
    expect(await readFile(unwritable, "utf8")).toBe(`${sshd.hostKeyLines[0]}\n`);
    await changeKey();
    expect((await connectAnew()).stderr).toContain(`${unwritable}:1 has another`);
    await rm(unwritable);
    expect(await connectAnew()).toMatchObject({ code: 0, stderr: "" });
  });

  it("is not asked for again when it was said yes to, and does not count where known_hosts alone do", async () => {
    await hostWith({ StrictHostKeyChecking: "ask" });
    const { env, questions } = await askpass(sshd.directory, ["yes"]);
    const first = await tund.tunctl(["connect", "h"], { env });
    expect(first.code).toBe(0);
    expect(first.stderr).toContain(`Failed to add the host to the list of known hosts (${unwritable}).`);
    expect(await questions()).toHaveLength(1);
    expect(await connectAnew()).toMatchObject({ code: 0 });
    await tund.tunctl(["exit", "h"]);
    const strict = await tund.tunctl(["connect", "-o", "StrictHostKeyChecking=yes", "h"]);
    expect(strict.code).toBe(6);
    expect(strict.stderr).toContain(`the host key of ${name()} is not known`);
  });

  it("is told to whoever asks for a forward alone", async () => {
    await hostWith({});
    const forward = ["forward", "-L", `${await freePort()}:127.0.0.1:1`, "h"];
    const { code, stderr } = await tund.tunctl(forward);
    expect(code).toBe(0);
    expect(stderr).toContain(`${unwritable} cannot be written`);
  });

  it("is kept for its own file, and for none that keeps nothing", async () => {
    await hostWith({});
    expect(await tund.tunctl(["connect", "h"])).toMatchObject({ code: 0 });
    await changeKey();
    await hostWith({ UserKnownHostsFile: "/dev/null" });
    expect(await connectAnew()).toMatchObject({ code: 0, stderr: "" });
    await changeKey();
    expect(await connectAnew()).toMatchObject({ code: 0, stderr: "" });
    expect(await problems()).toEqual([expect.stringContaining("is not known")]);
    await hostWith({ UserKnownHostsFile: "none" });
    const none = await connectAnew(); // as ssh
    expect(none.code).toBe(6);
    expect(none.stderr).toContain("UserKnownHostsFile is none");
  });

  it("by UpdateHostKeys is told of by status", async () => {
    const known = join(place.path, "k".repeat(250)); // beside it there is no room for a longer name
    const server = await startSshd({ hostKeyTypes: ["ed25519", "ecdsa"] });
    onTestFinished(() => server.stop());
    await writeFile(known, `${server.hostKeyLines[0]}\n`);
    await sshd.addHost("h", {
      Port: server.port,
      IdentityFile: server.identity,
      UserKnownHostsFile: known,
      UpdateHostKeys: "yes",
    });
    expect(await tund.tunctl(["connect", "h"])).toMatchObject({ code: 0 });
    await eventually(async () => {
      const { stdout } = await tund.tunctl(["status", "--json"]);
      const [master] = (JSON.parse(stdout) as { masters: Master[] }).masters;
      expect(master?.warnings.join("\n")).toContain(`are left as they are in ${known} (UpdateHostKeys)`);
    });
  });
});

describe("a server that is gone when its key is said yes to", () => {
  it("is no connection, by ssh nor by tund, and no end of the daemon", async () => {
    const hasty = await startSshd({ config: ["LoginGraceTime 1"] });
    onTestFinished(() => hasty.stop());
    // Whoever is asked makes a FIFO, and says what is written to it.
    const [program, asked] = [join(place.path, "waits"), join(place.path, "asked")];
    await mkdir(asked);
    await writeFile(program, `#!/bin/sh\nmkfifo ${asked}/$$\ncat ${asked}/$$\n`, { mode: 0o700 });
    const env = { SSH_ASKPASS: program, SSH_ASKPASS_REQUIRE: "force", DISPLAY: ":0" };
    const settings = { UserKnownHostsFile: join(place.path, "known"), StrictHostKeyChecking: "ask" };
    await hasty.addHost("gone", settings);
    await sshd.addHost("gone", { Port: hasty.port, ...settings });
    const ours = tund.tunctl(["connect", "gone"], { env });
    const theirs = run("ssh", ["-F", hasty.sshConfig, "gone", "true"], {
      env: { PATH: process.env["PATH"], ...env },
    });
    await eventually(async () => expect(await readdir(asked)).toHaveLength(2));
    await eventually(() => expect(hasty.sessions()).toEqual([]));
    for (const one of await readdir(asked)) await writeFile(join(asked, one), "yes\n");
    expect((await ours).code).not.toBe(0);
    expect((await theirs).code).not.toBe(0);
    const { stdout } = await tund.tunctl(["status", "--json"]);
    expect((JSON.parse(stdout) as { daemon: { pid: number } }).daemon.pid).toBe(tund.pid);
  });
});
