// What a ProxyCommand leaves behind: nothing, whichever of its processes ended first.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { living } from "../support/process-tree.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

let sshd: Sshd;
let tund: Tund;

beforeAll(async () => {
  sshd = await startSshd();
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

/** Adds a host whose ProxyCommand starts a helper, and then becomes `command`. Gives how the helper's pid is told. */
async function helped(name: string, command: string): Promise<() => Promise<number>> {
  const file = join(sshd.directory, `${name}-helper`);
  // The helper holds the command's stdout and stderr open for as long as it lives.
  await sshd.addHost(name, {
    ProxyCommand: `sh -c 'sleep 1000 & echo $! > ${file}; ${command}'`,
    HostKeyAlias: `[127.0.0.1]:${sshd.port}`,
    ConnectTimeout: 600,
  });
  return async () => Number(await readFile(file, "utf8"));
}

describe("what a ProxyCommand started", () => {
  it("ends with the master, though the command itself has ended before", async () => {
    const helper = await helped("up", `exec ssh -F ${sshd.sshConfig} -W [%h]:%p testhost`);
    expect(await tund.tunctl(["connect", "up"])).toMatchObject({ code: 0, stderr: "" });
    const pid = await helper();
    expect(living([pid])).toEqual([pid]);
    expect(await tund.tunctl(["exit", "up"])).toMatchObject({ code: 0, stderr: "" });
    await eventually(() => expect(living([pid])).toEqual([]));
  });

  it("does not keep a failure from being told, and ends with the attempt", async () => {
    const helper = await helped("down", "echo no way >&2; exit 3");
    expect(await tund.tunctl(["connect", "down"])).toMatchObject({
      code: 1,
      stderr: "tunctl: ProxyCommand of down: it ended with exit code 3: no way\n",
    });
    const pid = await helper();
    await eventually(() => expect(living([pid])).toEqual([]));
  });
});
