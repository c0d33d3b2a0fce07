// Certificates of hosts: whatever the real ssh takes or refuses, tund does, or refuses more. test/verdicts has more of them.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { besideSsh } from "../support/beside-ssh.ts";
import { Authorities, certify, type Signing } from "../support/certificates.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { echoServer, type LoopbackServer } from "../support/echo.ts";
import { freePort } from "../support/free-port.ts";
import { type Key, makeKey } from "../support/ssh-key.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { dialLoopback, echoed } from "../support/tcp.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";

const { types } = Authorities;

let place: TempDir;
let echo: LoopbackServer;
let names = 0;
const authorities = new Authorities();
const authority = (type: Key["type"] = "ed25519"): Key => authorities.of(type);

beforeAll(async () => {
  place = await tempDir();
  await authorities.make(place.path);
  echo = await echoServer();
});
afterAll(async () => {
  await echo?.close();
  await place?.remove();
});

const verdicts = (settings: Record<string, string | number>, on: { sshd: Sshd; tund: Tund }) =>
  besideSsh(settings, on);

describe("a host's certificate", () => {
  /** A server whose key of that type is certified, a daemon, and a known_hosts file that has authorities alone. */
  async function certified(type: Key["type"], signing: Partial<Signing> = {}, by = authority()) {
    const server = await startSshd({
      hostKeyTypes: [type],
      config: ["RekeyLimit 1M"],
      certify: async (key) => certify(by, key, { principals: ["127.0.0.1"], isHost: true, ...signing }),
    });
    onTestFinished(() => server.stop());
    const daemon = await startTund({ env: { TUND_SSH_CONFIG: server.sshConfig } });
    onTestFinished(async () => void (await daemon.stop()));
    return { sshd: server, tund: daemon };
  }

  async function knownHosts(...lines: string[]): Promise<{ UserKnownHostsFile: string }> {
    const file = join(place.path, `known-${names++}`);
    await writeFile(file, lines.map((line) => `${line}\n`).join(""));
    return { UserKnownHostsFile: file };
  }

  const trusting = (key: Key = authority()) => knownHosts(`@cert-authority * ${key.publicKey}`);

  it.each(types.flatMap((key) => types.map((by) => [key, by] as const)))(
    "of a key of type %s, by an authority of type %s, is taken, and rekeying is survived",
    async (type, by) => {
      const on = await certified(type, {}, authority(by));
      const known = await trusting(authority(by));
      expect(await verdicts(known, on)).toMatchObject({ isIn: true });
      const [name, port] = [`h${names++}`, await freePort()];
      await on.sshd.addHost(name, known);
      const forward = ["forward", "-L", `${port}:127.0.0.1:${echo.port}`, name];
      expect(await on.tund.tunctl(forward)).toMatchObject({ code: 0 });
      const text = "x".repeat(3 * 1024 * 1024); // the server wants new keys every MiB
      const socket = await dialLoopback(port);
      expect(await echoed(socket, text)).toBe(text);
      socket.destroy();
    },
  );

  it("is taken beside RevokedHostKeys and KnownHostsCommand, whose answers take time, and rekeying is survived", async () => {
    const on = await certified("ed25519");
    const list = await knownHosts((await makeKey(join(place.path, "other"), "ed25519")).publicKey);
    const settings = {
      ...(await trusting()),
      RevokedHostKeys: list.UserKnownHostsFile,
      KnownHostsCommand: "/bin/true",
    };
    expect(await verdicts(settings, on)).toMatchObject({ isIn: true });
    const [name, port] = [`h${names++}`, await freePort()];
    await on.sshd.addHost(name, settings);
    const forward = ["forward", "-L", `${port}:127.0.0.1:${echo.port}`, name];
    expect(await on.tund.tunctl(forward)).toMatchObject({ code: 0, stderr: "" });
    const text = "x".repeat(3 * 1024 * 1024);
    const socket = await dialLoopback(port);
    expect(await echoed(socket, text)).toBe(text);
    socket.destroy();
  });

  it("that says nothing of whom it is for is refused, though ssh 9 takes it, and the message says why", async () => {
    const on = await certified("ed25519", { principals: [] });
    const known = await trusting();
    const said = "has no principals: it would be good for every host";
    const name = `h${names++}`;
    await on.sshd.addHost(name, known);
    const refused = await on.tund.tunctl(["connect", name]);
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain(said);
    const taken = await on.tund.tunctl(["connect", "-o", "StrictHostKeyChecking=accept-new", name]);
    expect(taken.code).toBe(0); // for its plain key
    expect(taken.stderr).toContain(said);
  });

  it("by an authority that is revoked refuses the host, whatever StrictHostKeyChecking says", async () => {
    const on = await certified("ed25519");
    const ca = authority().publicKey;
    for (const strict of ["accept-new", "no"]) {
      const known = await knownHosts(`@cert-authority * ${ca}`, `@revoked * ${ca}`);
      const name = `h${names++}`;
      await on.sshd.addHost(name, { ...known, StrictHostKeyChecking: strict });
      const { code, stderr } = await on.tund.tunctl(["connect", name]);
      expect(code).toBe(6);
      expect(stderr).toContain(`is revoked by ${known.UserKnownHostsFile}:2`);
      expect(stderr.includes("under StrictHostKeyChecking=no as well")).toBe(strict === "no");
      expect(await readFile(known.UserKnownHostsFile, "utf8")).not.toContain(on.sshd.hostKeys[0]?.publicKey);
    }
  });

  it.each<[string, Partial<Signing>]>([
    ["is for another host", { principals: ["elsewhere"] }],
    ["has expired", { validity: "20200101:20200102" }],
    ["is not valid yet", { validity: "20990101:20990102" }],
    ["is a user's", { isHost: false }],
    ["has a critical option", { more: ["-O", "critical:nobody-knows-it"] }],
  ])("that %s does not count, and the key is unknown", async (_, signing) => {
    const on = await certified("ed25519", signing);
    const { isIn, code } = await verdicts(await trusting(), on);
    expect({ isIn, code }).toEqual({ isIn: false, code: 6 });
    const known = await knownHosts(`@cert-authority * ${authority().publicKey}`, ...on.sshd.hostKeyLines);
    expect(await verdicts(known, on)).toMatchObject({ isIn: true });
  });

  it("is taken by HostKeyAlias, and not by an authority for others or one revoked", async () => {
    const on = await certified("ecdsa", { principals: ["db"] });
    const ca = authority().publicKey;
    expect(await verdicts({ ...(await trusting()), HostKeyAlias: "db" }, on)).toMatchObject({ isIn: true });
    expect(await verdicts({ ...(await trusting()), HostKeyAlias: "other" }, on)).toMatchObject({
      isIn: false,
    });
    expect(await verdicts(await knownHosts(`@cert-authority elsewhere ${ca}`), on)).toMatchObject({
      isIn: false,
    });
    expect(await verdicts(await knownHosts(`@cert-authority * ${ca}`, `@revoked * ${ca}`), on)).toMatchObject(
      { isIn: false },
    );
    expect(
      await verdicts({ ...(await trusting()), CASignatureAlgorithms: "rsa-sha2-512" }, on),
    ).toMatchObject({ isIn: false });
  });
});
