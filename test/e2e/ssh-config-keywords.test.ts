// What ssh_config says beyond names and keys: each keyword is obeyed, or it is said that it is not. docs/ssh_config.md has them all.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { besideSsh } from "../support/beside-ssh.ts";
import { eventually } from "../support/eventually.ts";
import { run } from "../support/run.ts";
import { makeKey } from "../support/ssh-key.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

const NOBODY = join("/nonexistent", "identity");

let tunnel: Tunnel;
let names = 0;

beforeAll(async () => {
  // Methods that tund does not do, among those that it does.
  const config = [
    "HostbasedAuthentication yes",
    "GSSAPIAuthentication yes",
    "PasswordAuthentication yes",
    "LogLevel DEBUG",
  ];
  tunnel = await startTunnel({ config });
});
afterAll(() => tunnel?.stop());

type HostSettings = Readonly<Record<string, string | number>>;

/** Connects to a host with these settings, and gives its name and what was said. */
async function connected(settings: HostSettings) {
  const name = `host-${names++}`;
  await tunnel.sshd.addHost(name, settings);
  const outcome = await tunnel.tund.tunctl(["connect", name]);
  onTestFinished(async () => void (await tunnel.tund.tunctl(["exit", name])));
  return { name, ...outcome };
}

describe("what tund does not do", () => {
  it.each([
    ["LocalCommand", { PermitLocalCommand: "yes", LocalCommand: "touch /nonexistent/x" }],
    ["Tunnel", { Tunnel: "yes" }],
    ["VerifyHostKeyDNS", { VerifyHostKeyDNS: "ask" }],
    ["FingerprintHash", { FingerprintHash: "md5" }],
    ["KbdInteractiveDevices", { KbdInteractiveDevices: "pam" }],
  ])("is said of %s when the host is connected, in a line that names both", async (keyword, settings) => {
    const { name, code, stderr } = await connected(settings);
    expect(code).toBe(0);
    expect(stderr.trim().split("\n")).toEqual([
      expect.stringMatching(`${keyword} of ${name} is not obeyed: `) as string,
    ]);
  });

  it("is not spoken of where nobody wants it", async () => {
    expect(await connected({ LocalCommand: "true", VerifyHostKeyDNS: "no" })).toMatchObject({ stderr: "" });
  });

  it.each([
    ["hostbased", { HostbasedAuthentication: "yes", EnableSSHKeysign: "yes" }, /hostbased: tund cannot sign/],
    ["GSSAPI", { GSSAPIAuthentication: "yes" }, /gssapi-with-mic: tund does not do Kerberos/],
    ["PKCS#11", { PKCS11Provider: "/usr/lib/p11.so" }, /run 'ssh-add -s \/usr\/lib\/p11\.so'/],
  ])("of authentication is told when there is no other way in: %s", async (_, settings, said) => {
    const { code, stderr } = await connected({
      ...(settings as HostSettings),
      IdentityFile: NOBODY,
      BatchMode: "yes",
    });
    expect(code).toBe(7);
    expect(stderr).toMatch(said);
    const without = await connected({ IdentityFile: NOBODY, BatchMode: "yes" });
    expect(without.stderr).not.toMatch(said);
  });
});

describe("RequiredRSASize", () => {
  it("keeps our own keys back that are shorter, as in ssh, and says so", async () => {
    const { sshd } = tunnel;
    const key = await makeKey(join(sshd.directory, "rsa"), "rsa");
    await run("ssh-keygen", ["-q", "-f", key.path, "-y"]);
    await run("cp", [join(sshd.directory, "authorized_keys"), join(sshd.directory, "kept")]);
    await run("sh", ["-c", `cat '${key.path}.pub' >>'${join(sshd.directory, "authorized_keys")}'`]);
    onTestFinished(
      async () =>
        void (await run("mv", [join(sshd.directory, "kept"), join(sshd.directory, "authorized_keys")])),
    );
    const own = { IdentityFile: key.path };
    expect(await besideSsh(own, tunnel)).toMatchObject({ isIn: true });
    const { isIn, said } = await besideSsh({ ...own, RequiredRSASize: 4096 }, tunnel);
    expect(isIn).toBe(false);
    expect(said).toMatch(/rsa.*: it has \d+ bits, and RequiredRSASize wants 4096/);
  });
});

const SS = "/usr/bin/ss";
if (!existsSync(SS))
  console.log(`skipped: what the kernel has set of a socket is shown by ${SS}, which is not there`);

describe.skipIf(!existsSync(SS))("of the socket", () => {
  /** What the kernel says of the link of a host with these settings, which is connected for that alone. */
  async function socketOf(settings: HostSettings): Promise<string> {
    const { name, code, stderr } = await connected(settings);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const filter = ["state", "established", `dport = :${tunnel.sshd.port}`];
    const { stdout } = await run(SS, ["-HtnoOp", "--tos", ...filter]);
    await tunnel.ok("exit", name);
    const ours = stdout.split("\n").filter((line) => line.includes(`pid=${tunnel.tund.pid},`));
    expect(ours).toHaveLength(1);
    return ours.join();
  }

  it("IPQoS is the second class of two, and the system's where nobody chose", async () => {
    expect(await socketOf({})).toContain("tos:0 ");
    expect(await socketOf({ IPQoS: "ef" })).toContain("tos:0xb8");
    expect(await socketOf({ IPQoS: "ef cs1" })).toContain("tos:0x20");
    expect(await socketOf({ IPQoS: "none" })).toContain("tos:0 ");
    expect(await socketOf({ IPQoS: "lowdelay 0x4" })).toContain("tos:0x4");
  });

  it("TCPKeepAlive has the kernel ask, unless it is off", async () => {
    expect(await socketOf({ TCPKeepAlive: "yes" })).toContain("timer:(keepalive");
    expect(await socketOf({ TCPKeepAlive: "no" })).not.toContain("timer:(keepalive");
  });
});

describe("a server that ends connections without channels (UnusedConnectionTimeout)", () => {
  it("is told of as such, and connected again", async () => {
    const unused = await startTunnel({ config: ["UnusedConnectionTimeout 1"] });
    onTestFinished(() => unused.stop());
    await unused.ok("connect", "testhost");
    await eventually(async () => expect((await unused.master())?.reconnects).toBeGreaterThan(0));
    expect((await unused.master())?.failure?.message).toContain(
      "closed by the server while it carried nothing (an sshd with UnusedConnectionTimeout does that)",
    );
  });
});

describe("what ssh does with ssh_config", () => {
  it("holds for tund: IgnoreUnknown, and names that are made canonical", async () => {
    const unknown = ["-o", "IgnoreUnknown=NoSuch*", "-o", "NoSuchKeyword=5"];
    await tunnel.ok("connect", ...unknown, "testhost");
    await tunnel.ok("exit", "testhost");
    const canonical = {
      CanonicalizeHostname: "yes",
      CanonicalizeMaxDots: 3,
      CanonicalDomains: "nowhere.invalid",
    };
    const nowhere = { ...canonical, HostName: "no-such-host" };
    const { code, stderr } = await connected({ ...nowhere, CanonicalizeFallbackLocal: "no" });
    expect(code).not.toBe(0);
    expect(stderr).toContain('Could not resolve host "no-such-host"');
    const local = {
      HostName: "localhost",
      AddressFamily: "inet",
      HostKeyAlias: `[127.0.0.1]:${tunnel.sshd.port}`,
    };
    expect(await connected({ ...canonical, ...local, CanonicalizeFallbackLocal: "yes" })).toMatchObject({
      code: 0,
    });
  });

  it("is told in its own words where it refuses a value", async () => {
    const { code, stderr } = await connected({ ConnectionAttempts: 0 });
    expect(code).not.toBe(0);
    expect(stderr).toContain("Invalid number of ConnectionAttempts");
  });
});

it("GlobalKnownHostsFile vouches for a key", async () => {
  const { knownHosts } = tunnel.sshd;
  const settings = { UserKnownHostsFile: "/dev/null", StrictHostKeyChecking: "yes" };
  expect(await besideSsh({ ...settings, GlobalKnownHostsFile: knownHosts }, tunnel)).toMatchObject({
    isIn: true,
  });
  expect(await besideSsh(settings, tunnel)).toMatchObject({ isIn: false });
});

it("ForkAfterAuthentication has tunctl -M end when the master is there, which stays", async () => {
  const path = join(tunnel.tund.home, "forked");
  const args = ["-MN", "-S", path, "-o", "ForkAfterAuthentication=yes", "testhost"];
  expect(await tunnel.tund.tunctl(args)).toMatchObject({ code: 0, stderr: "" });
  expect(await tunnel.tund.tunctl(["-O", "check", "-S", path, "testhost"])).toMatchObject({ code: 0 });
  expect(await tunnel.tund.tunctl(["-O", "exit", "-S", path, "testhost"])).toMatchObject({ code: 0 });
});

it("what sessions alone have, and what tund does in its own way, keeps no host from being connected", async () => {
  const { directory } = tunnel.sshd;
  const before = tunnel.sshd.log().length; // others had the real ssh start some
  expect(
    await connected({
      SessionType: "subsystem",
      RemoteCommand: "touch /nonexistent",
      RequestTTY: "force",
      StdinNull: "yes",
      ForkAfterAuthentication: "yes",
      SendEnv: "LANG",
      SetEnv: "A=b",
      ForwardAgent: "yes",
      ForwardX11: "yes",
      ForwardX11Timeout: "5m",
      ForwardX11Trusted: "yes",
      XAuthLocation: "/nonexistent",
      EscapeChar: "none",
      EnableEscapeCommandline: "yes",
      VisualHostKey: "yes",
      AddKeysToAgent: "confirm",
      ControlMaster: "auto",
      LogLevel: "DEBUG3",
      LogVerbose: "packet.c:*",
      SyslogFacility: "LOCAL0",
      TunnelDevice: "any:any",
      SecurityKeyProvider: join(directory, "none.so"),
      HostbasedAcceptedAlgorithms: "ssh-ed25519",
      EnableSSHKeysign: "yes",
    }),
  ).toMatchObject({ code: 0, stderr: "" });
  expect(tunnel.sshd.log().slice(before)).not.toContain("Starting session");
});
