// `~NAME`, `${ENV}` and %-tokens in ssh_config where `ssh -G` leaves them as they were written, beside the real ssh.
import { copyFile, symlink, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { besideSsh } from "../support/beside-ssh.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

const VARIABLE = "PLACE_OF_A_TEST";

let sshd: Sshd;
let tund: Tund;
beforeAll(async () => {
  sshd = await startSshd();
  // What a variable stands for is not expanded again.
  process.env[VARIABLE] = join(sshd.directory, "100%h");
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig, [VARIABLE]: process.env[VARIABLE] } });
  await symlink(sshd.directory, process.env[VARIABLE]);
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

const verdict = (settings: Record<string, string | number>) => besideSsh(settings, { sshd, tund });
const home = (path: string) => `~${userInfo().username}/${relative(userInfo().homedir, path)}`;
const nowhere = { UserKnownHostsFile: "/dev/null" };

describe("a path of ssh_config", () => {
  it("may begin with the name of a user, whose home directory that is", async () => {
    expect(await verdict({ IdentityFile: home(sshd.identity) })).toMatchObject({ isIn: true });
  });

  it("that begins with the name of nobody is an error that names it, as in ssh", async () => {
    const { isIn, said } = await verdict({ IdentityFile: "~nobody-of-this-name/id" });
    expect(isIn).toBe(false);
    expect(said).toContain("'~nobody-of-this-name'");
    expect(said).toMatch(/no such user nobody-of-this-name/i);
  });

  it("has its variables and tokens expanded once", async () => {
    const path = `\${${VARIABLE}}/id-%h-%%h`;
    await copyFile(sshd.identity, join(sshd.directory, `id-${sshd.host}-%h`));
    expect(await verdict({ IdentityFile: path })).toMatchObject({ isIn: true });
  });

  it("with a space in it is one path in quotes", async () => {
    const path = join(sshd.directory, "an id");
    await copyFile(sshd.identity, path);
    expect(await verdict({ IdentityFile: `"${path}"` })).toMatchObject({ isIn: true });
  });

  it("with a variable whose brace is not closed is an error", async () => {
    const { isIn, said } = await verdict({ IdentityFile: `\${${VARIABLE}/id` });
    expect(isIn).toBe(false);
    expect(said).toContain("a brace of a variable is not closed");
  });
});

describe("GlobalKnownHostsFile", () => {
  it("may begin with the name of a user, behind another file, and has no tokens", async () => {
    const path = join(sshd.directory, "known-%h");
    await copyFile(sshd.knownHosts, path);
    expect(await verdict({ ...nowhere, GlobalKnownHostsFile: `/dev/null ${home(path)}` })).toMatchObject({
      isIn: true,
    });
  });
});

describe("KnownHostsCommand", () => {
  it("has its variables expanded, each into one word", async () => {
    const command = `/bin/cat \${${VARIABLE}}/known_hosts`;
    expect(join(sshd.directory, "known_hosts")).toBe(sshd.knownHosts);
    const { isIn } = await verdict({ ...nowhere, GlobalKnownHostsFile: "none", KnownHostsCommand: command });
    expect(isIn).toBe(true);
  });

  it("that is no absolute path is not run, wherever its name leads", async () => {
    const mark = join(sshd.directory, "mark");
    const { isIn, said } = await verdict({ ...nowhere, KnownHostsCommand: `touch ${mark}` });
    expect(isIn).toBe(false);
    expect(said).toContain("touch is no absolute path");
    await expect(writeFile(mark, "", { flag: "wx" })).resolves.toBeUndefined();
  });
});
