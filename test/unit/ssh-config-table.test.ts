// docs/ssh_config.md has every keyword that ssh knows, in one of four classes, with the test that holds what it says.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { newerOpenSsh } from "../support/newer-openssh.ts";
import { run } from "../support/run.ts";

const CLASSES = new Set(["honoured", "passed on", "without meaning here", "refused with a message"]);

// What the manuals of OpenSSH 9.2 (with Debian's patches) and 10.6 have, where neither is at hand.
const documented =
  "Host Match AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CASignatureAlgorithms CanonicalDomains " +
  "CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs CertificateFile ChannelTimeout " +
  "CheckHostIP Ciphers ClearAllForwardings Compression ConnectTimeout ConnectionAttempts ControlMaster ControlPath ControlPersist " +
  "DynamicForward EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash " +
  "ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted GSSAPIAuthentication GSSAPIClientIdentity " +
  "GSSAPIDelegateCredentials GSSAPIKexAlgorithms GSSAPIKeyExchange GSSAPIRenewalForcesRekey GSSAPIServerIdentity GSSAPITrustDns " +
  "GatewayPorts GlobalKnownHostsFile HashKnownHosts HostKeyAlgorithms HostKeyAlias HostbasedAcceptedAlgorithms " +
  "HostbasedAuthentication Hostname IPQoS IdentitiesOnly IdentityAgent IdentityFile IgnoreUnknown Include " +
  "KbdInteractiveAuthentication KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel " +
  "LogVerbose MACs NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming PKCS11Provider " +
  "PasswordAuthentication PermitLocalCommand PermitRemoteOpen Port PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass " +
  "PubkeyAcceptedAlgorithms PubkeyAuthentication RefuseConnection RekeyLimit RemoteCommand RemoteForward RequestTTY " +
  "RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv ServerAliveCountMax ServerAliveInterval SessionType SetEnv " +
  "StdinNull StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility TCPKeepAlive Tag Tunnel TunnelDevice " +
  "UpdateHostKeys User UserKnownHostsFile VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation";

interface Row {
  keyword: string;
  kind: string;
  why: string;
  heldBy: string;
}

const rows = readFileSync(join("docs", "ssh_config.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| [A-Z]/.test(line))
  .map((line): Row => {
    const [, keyword = "", kind = "", why = "", heldBy = ""] = line.split("|").map((cell) => cell.trim());
    return { keyword, kind, why, heldBy };
  });

const known = new Set(rows.map(({ keyword }) => keyword.toLowerCase()));
const unknown = (keywords: readonly string[]) =>
  [...new Set(keywords.map((keyword) => keyword.toLowerCase()))].filter((keyword) => !known.has(keyword));

async function printedBy(ssh: string): Promise<string[]> {
  const { code, stdout } = await run(ssh, ["-T", "-F", "none", "-G", "host"]);
  expect(code).toBe(0);
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0] ?? "");
}

// Subordinate lists (types of channels) begin with lower-case letters.
const manualKeywords = (path: string): string[] =>
  [
    ...gunzipSync(readFileSync(path))
      .toString()
      .matchAll(/^\.It Cm ([A-Z]\w+)/gm),
  ].map(([, keyword = ""]) => keyword);

const newer = await newerOpenSsh();

describe("docs/ssh_config.md", () => {
  it("has every keyword once, in the order of the alphabet", () => {
    const names = rows.map(({ keyword }) => keyword.toLowerCase());
    expect(names).toEqual([...new Set(names)].toSorted());
    expect(unknown(documented.split(" "))).toEqual([]);
  });

  it("has what this machine's ssh prints", async () => {
    expect(unknown(await printedBy("ssh"))).toEqual([]);
  });

  it.skipIf(newer === null)("has what a newer ssh prints, and its manual lists", async () => {
    if (newer === null) return;
    expect(unknown(await printedBy(newer.ssh))).toEqual([]);
    const manual = join(newer.bin, "..", "root", "usr", "share", "man", "man5", "ssh_config.5.gz");
    const keywords = existsSync(manual) ? manualKeywords(manual) : [];
    expect(keywords.length).toBeGreaterThanOrEqual(newer.release === "machine" ? 0 : 80);
    expect(unknown(keywords)).toEqual([]);
  });

  it("has each in one of its classes, with a reason where it is not done", () => {
    expect(rows.filter(({ kind }) => !CLASSES.has(kind))).toEqual([]);
    const unexplained = rows.filter(({ kind, why }) => kind !== "honoured" && why === "");
    expect(unexplained).toEqual([]);
  });

  it("names a test for each, which is there under that name", () => {
    const missing = rows.filter(({ heldBy }) => {
      const named = [...heldBy.matchAll(/`(test\/[\w./-]+\.ts)`: ([^;]+)/g)];
      return (
        named.length === 0 ||
        named.some(
          ([, path = "", words = ""]) =>
            !existsSync(path) || !readFileSync(path, "utf8").includes(words.trim()),
        )
      );
    });
    expect(missing).toEqual([]);
  });
});
