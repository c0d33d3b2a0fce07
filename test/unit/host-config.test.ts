import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { expandPath, tokensOf } from "../../daemon/ssh/tokens.ts";
import { makeOutside } from "../support/outside.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import { makeResolver } from "../support/resolver.ts";

const person = {
  home: "/home/me",
  uid: 1000,
  username: "me",
  env: { DIR: "/keys", SSH_AUTH_SOCK: "/agent", OTHER: "/other", TOKENS: "%h${DIR}" },
};
let directory: string;
let key: string;

// The real ssh, over a configuration of this test's own.
const resolver = async (config: string) => {
  const file = join(directory, `config-${Math.random()}`);
  await writeFile(file, config);
  return makeResolver({ person, configFile: file, controlPath: "none", files: makeOutside().files });
};
const resolve = async (config: string, host: string, options?: ConnectionOptions) =>
  (await resolver(config)).resolve(host, options);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "t-"));
  key = join(directory, "key");
  await writeFile(key, ""); // ssh passes over an -i that is not there
});

describe("a host, as ssh -G resolves it,", () => {
  it("has what ssh_config says, with tokens and tilde expanded", async () => {
    const config = await resolve(
      `Host db
         HostName db.example.com
         User admin
         Port 2222
         IdentityFile ~/.ssh/%h-%r
         IdentityFile \${DIR}/%n
         IdentitiesOnly yes
         HostKeyAlias database
         UserKnownHostsFile /a /b
         GlobalKnownHostsFile ~/g-%h /dev/null
         StrictHostKeyChecking accept-new
         ServerAliveInterval 7
         ServerAliveCountMax 2
         ConnectTimeout 9`,
      "db",
    );
    expect(config).toMatchObject({
      host: "db",
      hostname: "db.example.com",
      user: "admin",
      port: 2222,
      identityFiles: ["/home/me/.ssh/db.example.com-admin", "/keys/db"],
      identitiesOnly: true,
      hostKeyAlias: "database",
      knownHostsFiles: ["/a", "/b", "/home/me/g-%h", "/dev/null"],
      userKnownHostsFile: "/a",
      strictHostKeyChecking: "accept-new",
      keepaliveIntervalMs: 7000,
      keepaliveCountMax: 2,
      connectTimeoutMs: 9000,
    });
  });

  it("has defaults that suit a daemon where ssh_config says nothing", async () => {
    expect(await resolve("", "h")).toMatchObject({
      hostname: "h",
      port: 22,
      family: 0,
      strictHostKeyChecking: "ask",
      keepaliveIntervalMs: 15_000,
      keepaliveCountMax: 3,
      agent: { path: "/agent", isFixed: false },
      algorithms: { ciphers: null, macs: null, kexalgorithms: null },
    });
  });

  it.each([
    ["IdentityAgent none", null],
    ["IdentityAgent /some/agent", "/some/agent"],
    ["IdentityAgent SSH_AUTH_SOCK", "/agent"],
    ["IdentityAgent $OTHER", "/other"],
    ["IdentityAgent $MISSING", null],
    ["", "/agent"],
  ])("has the agent that '%s' means", async (config, agent) => {
    expect((await resolve(config, "h")).agent.path).toBe(agent);
  });

  it("has the forwards that ssh_config asks for, each as the command line would, and none that it does not", async () => {
    const { forwarding } = await resolve(
      `Host h
         LocalForward 8080 db.internal:5432
         LocalForward *:8081 [::1]:80
         LocalForward 8082 /run/far.sock
         LocalForward /run/near.sock x:1
         LocalForward /run/%h.sock /far/%r
         DynamicForward 1080
         DynamicForward 127.0.0.1:1081
         RemoteForward 9000 localhost:22
         RemoteForward 9001
         RemoteForward 0.0.0.0:9002
         RemoteForward /run/r.sock localhost:1
         User u
         ExitOnForwardFailure yes
         GatewayPorts yes
         StreamLocalBindMask 0111
         StreamLocalBindUnlink yes
         PermitRemoteOpen a:1 [::1]:* *:443`,
      "h",
    );
    expect(forwarding.configured).toEqual([
      { kind: "local", spec: "8080:[db.internal]:5432" },
      { kind: "local", spec: "[*]:8081:[::1]:80" },
      { kind: "local", spec: "8082:/run/far.sock" },
      { kind: "local", spec: "/run/near.sock:[x]:1" },
      { kind: "local", spec: "/run/h.sock:/far/u" },
      { kind: "dynamic", spec: "1080" },
      { kind: "dynamic", spec: "[127.0.0.1]:1081" },
      { kind: "remote", spec: "9000:[localhost]:22" },
      { kind: "remote", spec: "9001" },
      { kind: "remote", spec: "[0.0.0.0]:9002" },
      { kind: "remote", spec: "/run/r.sock:[localhost]:1" },
    ]);
    expect(forwarding).toMatchObject({
      exitOnFailure: true,
      gatewayPorts: true,
      clearAll: false,
      streamLocal: { mask: 0o111, unlink: true },
    });
    const asked = [
      ["a", 1],
      ["a", 2],
      ["::1", 5],
      ["b", 443],
      ["b", 1],
    ] as const;
    expect(asked.map(([host, port]) => forwarding.permits(host, port))).toEqual([
      true,
      false,
      true,
      true,
      false,
    ]);
  });

  it("obeys Match, Include and the command line's options as ssh does", async () => {
    await writeFile(join(directory, "included"), "Host *.in\n  Port 77\n");
    const config = `Include ${directory}/included\nMatch host special exec true\n  User matched\n`;
    expect(await resolve(config, "x.in")).toMatchObject({ port: 77 });
    expect(await resolve(config, "special")).toMatchObject({ user: "matched" });
    expect(
      await resolve(config, "x.in", {
        port: 5,
        user: "u",
        identityFiles: [key],
        addressFamily: "inet6",
        options: ["HostName=y"],
      }),
    ).toMatchObject({ port: 5, user: "u", identityFiles: [key], family: 6, hostname: "y" });
  });

  it("understands user@host and ssh:// as ssh does", async () => {
    expect(await resolve("", "bob@h")).toMatchObject({ user: "bob", hostname: "h" });
    expect(await resolve("", "ssh://bob@h:2022")).toMatchObject({ user: "bob", hostname: "h", port: 2022 });
  });

  it("knows a choice of ciphers from ssh's default", async () => {
    expect((await resolve("Ciphers aes256-ctr,aes128-ctr", "h")).algorithms.ciphers).toEqual([
      "aes256-ctr",
      "aes128-ctr",
    ]);
    expect((await resolve("Port 3", "h")).algorithms.ciphers).toBeNull();
  });

  it.each([
    ["Foo bar", "h", {}, "HOST_CONFIG_FAILED", /Bad configuration option: foo/],
    ["", "bad host", {}, "HOST_CONFIG_FAILED", /hostname contains invalid characters/],
    ["", "-oProxyCommand=x", {}, "HOST_CONFIG_FAILED", /hostname contains invalid characters/],
    ["", "h", { configFile: "/no/such" }, "HOST_CONFIG_FAILED", /Can't open user config file \/no\/such/],
    ["ProxyCommand nc %Z", "h", {}, "HOST_CONFIG_FAILED", /the token %Z is not known|unknown key %Z/],
    ["IdentityFile /x/%Z", "h", {}, "HOST_CONFIG_FAILED", /the token %Z is not known/],
    ["IdentityFile ${NOT_SET_HERE}/x", "h", {}, "HOST_CONFIG_FAILED", /NOT_SET_HERE is not set/],
  ] as const)("is refused with a reason: %s, %s, %j", async (config, host, options, code, message) => {
    const failure = await resolve(config, host, options as ConnectionOptions).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  it.each([
    ["", "h", {}, { kind: "direct" }],
    ["ProxyJump b", "h", {}, { kind: "jump", hop: { name: "b", options: {} } }],
    ["ProxyJump u@b:22", "h", {}, { kind: "jump", hop: { name: "ssh://u@b:22" } }],
    ["ProxyJump [::1]:2022", "h", {}, { kind: "jump", hop: { name: "ssh://[::1]:2022" } }],
    ["", "h", { jump: "a,u@b:3" }, { kind: "jump", hop: { name: "a,ssh://u@b:3" } }],
    ["", "a,ssh://u@b:3", {}, { kind: "jump", hop: { name: "a" } }],
    ["ProxyJump none", "h", {}, { kind: "direct" }],
    ["ProxyCommand nc -w 5 %h %p %r %%", "me@h", {}, { kind: "command", command: "nc -w 5 h 22 me %" }],
    ["ProxyCommand nc\nProxyJump b", "h", {}, { kind: "command", command: "nc", isPassing: false }],
    ["ProxyCommand nc\nProxyUseFdpass yes", "h", {}, { kind: "command", command: "nc", isPassing: true }],
  ] as const)("tells the way there: %s, %s, %j", async (config, host, options, way) => {
    expect((await resolve(config, host, options as ConnectionOptions)).way).toMatchObject(way);
  });

  it("says so when there is no ssh, and recovers when there is", async () => {
    const path = process.env["PATH"];
    process.env["PATH"] = directory;
    const hosts = await resolver("");
    try {
      await expect(hosts.resolve("h")).rejects.toMatchObject({ code: "SSH_NOT_FOUND" });
    } finally {
      process.env["PATH"] = path;
    }
    await expect(hosts.resolve("h")).resolves.toMatchObject({ hostname: "h" });
  });
});

describe("the identity of a connection", () => {
  const config = () => `
    Host a b
      HostName 10.0.0.1
      User u
      IdentityFile ${key}
    Host b
      LocalForward 1234 x:80
      ForwardAgent yes
      LogLevel DEBUG
    Host other-key
      HostName 10.0.0.1
      User u
      IdentityFile /k2
    Host named-key
      HostName 10.0.0.1
      User u
      IdentityFile /keys/%n
    Host named-too
      HostName 10.0.0.1
      User u
      IdentityFile /keys/%n
    Host strict
      HostName 10.0.0.1
      User u
      IdentityFile ${key}
      UserKnownHostsFile /elsewhere`;
  const identity = async (host: string, options?: ConnectionOptions) =>
    (await resolve(config(), host, options)).identity;

  it("is shared by two names that mean the same connection, whatever they forward or log", async () => {
    expect(await identity("a")).toBe(await identity("b"));
    expect(await identity("a")).toBe(await identity("u@10.0.0.1", { identityFiles: [key] }));
  });

  it.each([
    ["another key", "other-key", {}],
    ["other known hosts", "strict", {}],
    ["another port", "a", { port: 23 }],
    ["another user", "a", { user: "v" }],
    ["another cipher", "a", { options: ["Ciphers=aes256-ctr"] }],
    ["another host key alias", "a", { options: ["HostKeyAlias=x"] }],
    ["another bind address", "a", { options: ["BindAddress=127.0.0.1"] }],
  ])("differs with %s", async (_, host, options) => {
    expect(await identity(host, options as ConnectionOptions)).not.toBe(await identity("a"));
  });

  it("differs where a token makes the key another one", async () => {
    expect(await identity("named-key")).not.toBe(await identity("named-too"));
  });
});

describe("a path's tokens", () => {
  const tokens = tokensOf(
    { originalHost: "db", hostname: "db.x", port: 22, user: "u", hostKeyAlias: null, proxyJump: "" },
    person,
  );
  it.each([
    ["~/a", "/home/me/a"],
    ["~", "/home/me"],
    ["~other/a", "~other/a"],
    ["/a/~", "/a/~"],
    ["%d/%h/%n/%k/%p/%r/%u/%i/%%", "/home/me/db.x/db/db/22/u/me/1000/%"],
    ["${DIR}/${TOKENS}/%n", "/keys/%h${DIR}/db"],
  ])("%s is %s", (path, expanded) => {
    expect(expandPath(path, tokens, person)).toBe(expanded);
  });

  it("make %C as ssh does", () => {
    expect(expandPath("%C", tokens, person)).toMatch(/^[0-9a-f]{40}$/);
  });
});
