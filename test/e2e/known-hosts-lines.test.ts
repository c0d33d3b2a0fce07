// Lines of known_hosts with odd bytes in them, beside the real ssh: CR, NUL, and patterns that are too long.
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { besideSsh } from "../support/beside-ssh.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";

let sshd: Sshd;
let tund: Tund;
beforeAll(async () => {
  sshd = await startSshd({ hostKeyTypes: ["ed25519"] });
  tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
});
afterAll(async () => {
  await tund?.stop();
  await sshd?.stop();
});

type Line = (host: string, type: string, key: string) => string;

describe("a host whose known_hosts has", () => {
  it.each<[string, boolean, Line]>([
    ["a CR before its name", false, (host, type, key) => `\r${host} ${type} ${key}`],
    ["a CR for the first blank", false, (host, type, key) => `${host}\r${type} ${key}`],
    ["a CR for the second blank", false, (host, type, key) => `${host} ${type}\r${key}`],
    ["a CR at the end of the line", true, (host, type, key) => `${host} ${type} ${key}\r`],
    ["a CR inside the key", true, (host, type, key) => `${host} ${type} ${key.slice(0, 9)}\r${key.slice(9)}`],
    ["a NUL behind the key", true, (host, type, key) => `${host} ${type} ${key}\0more`],
    [
      "a NUL inside its name",
      false,
      (host, type, key) => `${host.slice(0, 4)}\0${host.slice(4)} ${type} ${key}`,
    ],
    [
      "a NUL behind its name, which ssh takes for a blank",
      true,
      (host, type, key) => `${host}\0 ${type} ${key}`,
    ],
    ["a pattern of 1022 stars", true, (_, type, key) => `${"*".repeat(1022)} ${type} ${key}`],
    ["a pattern of 1023 stars", false, (_, type, key) => `${"*".repeat(1023)} ${type} ${key}`],
    ["a pattern too long behind its name", false, (h, t, k) => `${h},${"*".repeat(5000)} ${t} ${k}`],
    [
      "a pattern full of stars that has to be tried in many ways",
      true,
      (_, type, key) => `${"*?".repeat(12)}* ${type} ${key}`,
    ],
    ["its key revoked with a CR at the end", false, (h, t, k) => `${h} ${t} ${k}\n@revoked * ${t} ${k}\r`],
    [
      "its key revoked behind a CR, which is no blank",
      true,
      (h, t, k) => `${h} ${t} ${k}\n@revoked *\r${t} ${k}`,
    ],
  ])("%s is taken as ssh takes it: %s", async (_, isTaken, line) => {
    const [type = "", key = ""] = sshd.hostKeys[0]?.publicKey.split(" ") ?? [];
    const file = join(sshd.directory, `known-${randomBytes(4).toString("hex")}`);
    await writeFile(file, `${line(`[127.0.0.1]:${sshd.port}`, type, key)}\n`);
    const settings = { UserKnownHostsFile: file, GlobalKnownHostsFile: "none", StrictHostKeyChecking: "yes" };
    expect(await besideSsh(settings, { sshd, tund })).toMatchObject({ isIn: isTaken });
  });
});
