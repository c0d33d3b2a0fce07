// Post-quantum key exchange with real servers: which exchange a link comes to, that it carries what it is given through new
// keys, and what is told of it.
import { chmod, copyFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { digestOf, digestOfPoured, pour } from "../plumbing/pump.ts";
import { startTund, type Tund, type TundOptions } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { startFarEnd } from "../support/far-end.ts";
import { freePort } from "../support/free-port.ts";
import { newerOpenSsh } from "../support/newer-openssh.ts";
import { type Sshd, type SshdOptions, startSshd } from "../support/sshd.ts";
import { dialLoopback } from "../support/tcp.ts";
import { tempDir } from "../support/temp-dir.ts";

const MIB = 1024 * 1024;
const MLKEM = "mlkem768x25519-sha256";
const SNTRUP = "sntrup761x25519-sha512";
const SNTRUP_OPENSSH = "sntrup761x25519-sha512@openssh.com";
const CLASSIC = "curve25519-sha256";
const NEW_KEYS = "new keys, asked for by";

const newer = await newerOpenSsh();
const newerServer = (config: readonly string[]): SshdOptions => ({ openSsh: newer ?? undefined, config });

async function sshdWith(options: SshdOptions): Promise<Sshd> {
  const sshd = await startSshd({ ...options, config: ["LogLevel DEBUG1", ...linesOf(options)] });
  onTestFinished(() => sshd.stop());
  return sshd;
}

const linesOf = ({ config }: SshdOptions): readonly string[] => (Array.isArray(config) ? config : []);

async function tundFor(sshd: Sshd, options: TundOptions = {}): Promise<Tund> {
  const env = { TUND_SSH_CONFIG: sshd.sshConfig, TUND_LOG_LEVEL: "debug", ...options.env };
  const tund = await startTund({ ...options, env });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

async function ok(tund: Tund, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tund.tunctl(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function masterOf(tund: Tund, host = "testhost"): Promise<Master> {
  const { masters } = JSON.parse(await ok(tund, "status", "--json", host)) as { masters: Master[] };
  expect(masters).toHaveLength(1);
  return masters[0] as Master;
}

/** What both sides say that a new link came to: the server's words are checked here. */
async function exchangeOf(sshd: Sshd, tund: Tund, host = "testhost"): Promise<string | undefined> {
  const before = sshd.log().length;
  await ok(tund, "connect", host);
  const agreed = await eventually(() => /kex: algorithm: (\S+)/.exec(sshd.log().slice(before))?.[1] ?? false);
  const { keyExchange } = await masterOf(tund, host);
  expect(keyExchange).toMatchObject({ algorithm: agreed });
  return agreed;
}

const count = (text: string, what: string): number => text.split(what).length - 1;

describe("a server with a post-quantum exchange", () => {
  it.each([
    ["the system's sshd", []],
    ["one that has the exchange under OpenSSH's name alone", [`KexAlgorithms ${SNTRUP_OPENSSH}`]],
  ])("is logged in to by it, and both sides say so: %s", async (_, config) => {
    const sshd = await sshdWith({ config });
    const tund = await tundFor(sshd);
    const agreed = await exchangeOf(sshd, tund);
    expect(agreed).toMatch(/^(mlkem768x25519-sha256|sntrup761x25519-sha512(@openssh\.com)?)$/);
    expect((await masterOf(tund)).keyExchange).toEqual({
      algorithm: agreed,
      postQuantum: true,
      warned: false,
    });
  });

  it("carries what it is given through new keys, whoever asks for them, also behind a jump", async () => {
    const sshd = await sshdWith({ config: [`KexAlgorithms ${SNTRUP_OPENSSH}`, "RekeyLimit 3M"] });
    const tund = await tundFor(sshd);
    await sshd.addHost("often", { RekeyLimit: "2M" });
    await sshd.addHost("behind", { RekeyLimit: "2M", ProxyJump: "testhost" });
    const far = await startFarEnd();
    onTestFinished(() => far.close());
    for (const host of ["often", "behind"]) {
      const port = await freePort();
      await ok(tund, "forward", "-L", `${port}:127.0.0.1:${far.port}`, host);
      const before = count(tund.log(), NEW_KEYS);
      for (let round = 0; round < 40 && count(tund.log(), NEW_KEYS) < before + 3; round++) {
        const near = await dialLoopback(port);
        const other = await far.next();
        const digests = Promise.all([digestOf(other), digestOf(near)]);
        await Promise.all([pour(near, 6 * MIB), pour(other, 6 * MIB)]);
        expect(await digests).toEqual([digestOfPoured(6 * MIB), digestOfPoured(6 * MIB)]);
        near.destroy();
      }
      expect(count(tund.log(), NEW_KEYS)).toBeGreaterThanOrEqual(before + 3);
      expect(await masterOf(tund, host)).toMatchObject({
        reconnects: 0,
        keyExchange: { algorithm: SNTRUP_OPENSSH },
      });
    }
    expect(sshd.log()).not.toContain("kex: algorithm: curve25519");
  });

  it.skipIf(newer === null).each([
    ["by default", [], MLKEM],
    ["with nothing else", [`KexAlgorithms ${MLKEM}`], MLKEM],
    ["that has sntrup761 alone", [`KexAlgorithms ${SNTRUP}`], SNTRUP],
    [
      "that prefers another one: the client's preference counts",
      [`KexAlgorithms ${CLASSIC},${SNTRUP},${MLKEM}`],
      MLKEM,
    ],
    ["with none of them", ["KexAlgorithms ecdh-sha2-nistp256"], "ecdh-sha2-nistp256"],
  ])("OpenSSH 10 %s", async (_, config, expected) => {
    const sshd = await sshdWith(newerServer(config));
    const tund = await tundFor(sshd);
    expect(await exchangeOf(sshd, tund)).toBe(expected);
  });
});

/** A tund beside which not all of what was built lies. */
async function tundWithout(name: string, sshd: Sshd, env: TundOptions["env"] = {}): Promise<Tund> {
  const place = await tempDir();
  onTestFinished(() => place.remove());
  for (const file of await readdir("dist"))
    if (file !== name && (await stat(join("dist", file))).isFile())
      await copyFile(join("dist", file), join(place.path, file));
  return tundFor(sshd, {
    env,
    within: ["sh", "-c", `exec "$1" ${join(place.path, "tund.cjs")}`, "sh"],
  });
}

describe("where the process that computes cannot be started", () => {
  it("what needs it is not offered, and log and doctor say why", async () => {
    const sshd = await sshdWith({ config: [`KexAlgorithms ${SNTRUP_OPENSSH},${CLASSIC}`] });
    const tund = await tundWithout("kem-worker.cjs", sshd);
    expect(await exchangeOf(sshd, tund)).toBe(CLASSIC);
    expect(tund.log()).toContain("post-quantum key exchange is not offered");
    expect(tund.log()).toContain("kem-worker.cjs");
    expect((await tund.tunctl(["doctor", "testhost"])).stdout).toMatch(
      /^problem +key exchange +curve25519-sha256 is not post-quantum.*next: tund cannot start/m,
    );
  });

  it("a server that has nothing else is told of with what is offered, truly", async () => {
    const sshd = await sshdWith({ config: [`KexAlgorithms ${SNTRUP_OPENSSH}`] });
    const tund = await tundWithout("kem-worker.cjs", sshd);
    const { code, stderr } = await tund.tunctl(["connect", "testhost"]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/it offers sntrup761x25519-sha512@openssh.com[^;]*; tund offers [^;]*curve25519/);
    expect(stderr).not.toMatch(/tund offers [^;]*sntrup761/);
  });
});

describe("KexAlgorithms", () => {
  it.each([
    ["curve25519-sha256", CLASSIC],
    ["^curve25519-sha256", CLASSIC],
    ["-sntrup*", CLASSIC],
    ["+diffie-hellman-group14-sha1", /^(mlkem768x25519-sha256|sntrup761x25519-sha512)/],
    [`ecdh-sha2-nistp256,${SNTRUP_OPENSSH}`, "ecdh-sha2-nistp256"],
    [SNTRUP_OPENSSH, SNTRUP_OPENSSH],
  ])("%s is obeyed", async (value, expected) => {
    const sshd = await sshdWith({});
    await sshd.addHost("chosen", { KexAlgorithms: value });
    const tund = await tundFor(sshd);
    expect(await exchangeOf(sshd, tund, "chosen")).toMatch(expected);
  });
});

/** A PATH on which ssh knows WarnWeakCrypto, which it has since 10.1: what it prints ends with that. */
async function pathWithWarnings(value: string): Promise<string> {
  const place = await tempDir();
  onTestFinished(() => place.remove());
  const path = join(place.path, "ssh");
  await writeFile(path, `#!/bin/sh\n/usr/bin/ssh "$@" && echo "warnweakcrypto ${value}"\n`);
  await chmod(path, 0o755);
  return `${place.path}:${process.env["PATH"]}`;
}

describe("a link whose keys were exchanged in no post-quantum way", () => {
  const classic = { config: [`KexAlgorithms ${CLASSIC}`] };

  it("is marked in status, and told by doctor", async () => {
    const sshd = await sshdWith(classic);
    const tund = await tundFor(sshd);
    await ok(tund, "connect", "testhost");
    expect(await ok(tund, "status")).toContain(`${CLASSIC}!`);
    expect((await masterOf(tund)).keyExchange).toEqual({
      algorithm: CLASSIC,
      postQuantum: false,
      warned: true,
    });
    expect((await tund.tunctl(["doctor", "testhost"])).stdout).toMatch(
      /^note +key exchange +curve25519-sha256 is not post-quantum.*next: .*OpenSSH 8.5/m,
    );
  });

  it.each(["no", "no-pq-kex"])("is not marked under WarnWeakCrypto %s", async (value) => {
    const sshd = await sshdWith(classic);
    const tund = await tundFor(sshd, { env: { PATH: await pathWithWarnings(value) } });
    await ok(tund, "connect", "testhost");
    const shown = await ok(tund, "status");
    expect(shown).toContain(CLASSIC);
    expect(shown).not.toContain(`${CLASSIC}!`);
    expect((await masterOf(tund)).keyExchange).toMatchObject({ postQuantum: false, warned: false });
    expect((await tund.tunctl(["doctor", "testhost"])).stdout).not.toContain("is not post-quantum");
  });

  it("is marked under WarnWeakCrypto yes", async () => {
    const sshd = await sshdWith(classic);
    const tund = await tundFor(sshd, { env: { PATH: await pathWithWarnings("yes") } });
    await ok(tund, "connect", "testhost");
    expect(await ok(tund, "status")).toContain(`${CLASSIC}!`);
  });
});

it("a post-quantum link is told by doctor as one", async () => {
  const sshd = await sshdWith({});
  const tund = await tundFor(sshd);
  expect((await tund.tunctl(["doctor", "testhost"])).stdout).toMatch(
    /^ok +key exchange +(mlkem768x25519-sha256|sntrup761x25519-sha512\S*), which is post-quantum$/m,
  );
});

it("a server that has nothing but post-quantum exchanges shows its host keys to trust", async () => {
  const sshd = await sshdWith({ config: [`KexAlgorithms ${SNTRUP_OPENSSH}`] });
  const tund = await tundFor(sshd);
  await sshd.addHost("unknown", { UserKnownHostsFile: join(sshd.directory, "empty") });
  const shown = (await tund.tunctl(["doctor", "unknown"])).stdout;
  const [, fingerprint = ""] = /ED25519 (SHA256:\S+) is not known/.exec(shown) ?? [];
  expect(await ok(tund, "trust", "--fingerprint", fingerprint, "unknown")).toContain(fingerprint);
});
