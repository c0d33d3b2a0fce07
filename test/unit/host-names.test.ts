// Names of hosts with odd users in them: bastions have users with @ and with commas. As the real ssh has them.
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { makeOutside } from "../support/outside.ts";
import { makeResolver } from "../support/resolver.ts";

const person = { home: "/home/me", uid: 1000, username: "me", env: {} };
const resolve = (host: string, jump?: string) =>
  makeResolver({ person, configFile: "none", controlPath: "none", files: makeOutside().files }).resolve(
    host,
    jump === undefined ? {} : { jump },
  );

/** What `ssh -G` prints of a setting. */
function asSsh(host: string, name: string): string {
  const text = execFileSync("ssh", ["-T", "-F", "none", "-G", "--", host]).toString();
  return new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1] ?? "";
}

describe("the name of a host", () => {
  it.each([
    "user@with@at@host",
    "a,b@host",
    "a,b,c@host",
    "u@x,y@host",
    "ssh://user@host:2222",
    "ssh://a%40b@host:22",
    "ssh://a,b@host",
    "DOMAIN\\user@host",
    "vault%root%target@host",
    "user@host:22@bastion",
    "first last@host",
  ])("has the user and the host that ssh reads in it, and no jump hosts: %s", async (host) => {
    const { user, hostname, port, way } = await resolve(host);
    expect({ user, hostname, port: String(port), way }).toEqual({
      user: asSsh(host, "user"),
      hostname: asSsh(host, "hostname"),
      port: asSsh(host, "port"),
      way: { kind: "direct" },
    });
  });

  // By its name alone a master that leads to others is found again, and resolved.
  it.each([
    ["a,b", "a,b", "b", "a"],
    ["u@a,b", "u@a,b", "b", "u@a"],
    ["a,u@b", "a,ssh://u@b", "b", "a"],
    ["u@a,v@b:3", "u@a,ssh://v@b:3", "b", "u@a"],
    ["a,ssh://u@b:3", "a,ssh://u@b:3", "b", "a"],
    ["a,u@b,v@c", "a,u@b,ssh://v@c", "c", "a,ssh://u@b"],
  ])(
    "of several jump hosts in a row tells who is the last of them: %s",
    async (jump, name, hostname, before) => {
      expect((await resolve("h", jump)).way).toMatchObject({ kind: "jump", hop: { name } });
      expect(await resolve(name)).toMatchObject({ hostname, way: { kind: "jump", hop: { name: before } } });
    },
  );

  it.each([
    ["[::1]:2022", "ssh://[::1]:2022", { hostname: "::1", port: 2022 }],
    ["u@[::1]:2022", "ssh://u@[::1]:2022", { hostname: "::1", port: 2022, user: "u" }],
    ["u@v@w:2022", "ssh://u@v@w:2022", { hostname: "w", port: 2022, user: "u@v" }],
    ["100%40@w:2022", "ssh://100%2540@w:2022", { hostname: "w", port: 2022, user: "100%40" }],
  ])("of a jump host may have a port, whatever its address and user are: %s", async (jump, name, host) => {
    expect((await resolve("h", jump)).way).toMatchObject({ kind: "jump", hop: { name } });
    expect(await resolve(name)).toMatchObject(host);
  });

  it("stands for itself without its user and brackets where a token names it", async () => {
    expect((await resolve("ssh://a,b@[::1]:22")).hostKeyTokens).toMatchObject({ n: "::1" });
    expect((await resolve("ssh://u@v@host:22")).hostKeyTokens).toMatchObject({ n: "host" });
    expect((await resolve("a,b@host")).hostKeyTokens).toMatchObject({ n: "host" });
  });
});
