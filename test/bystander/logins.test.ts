// What a server, a file or many hosts can do before and at a login: one bad host stays one bad host.
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { AuthContext } from "ssh2";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { askpass } from "../support/askpass.ts";
import { eventually } from "../support/eventually.ts";
import { type Sshd, type SshdOptions, startSshd } from "../support/sshd.ts";
import { makeKey } from "../support/ssh-key.ts";
import { tempDir } from "../support/temp-dir.ts";
import { type Hostile, message, startHostile, text, uint32 } from "./hostile.ts";
import { LONG, lateRuns, ok } from "./late-runs.ts";

let station: Sshd;
beforeAll(async () => {
  station = await startSshd();
});
afterAll(() => station?.stop());

async function server(options: SshdOptions = {}): Promise<Sshd> {
  const sshd = await startSshd(options);
  onTestFinished(() => sshd.stop());
  return sshd;
}

describe("a key exchange with a group that the server chose", () => {
  // Not one of RFC 3526's, which OpenSSL knows: for a group of the server's own it tests the prime.
  const moduli = readFileSync(new URL("moduli", import.meta.url), "utf8").split("\n");
  it.each([3072, 8192])("keeps nobody waiting (%i bits)", LONG, async (bits) => {
    const line = moduli.find((each) => each.split(" ")[4] === String(bits - 1)) ?? "";
    const sshd = await server({
      prepare: (directory) => writeFile(join(directory, "moduli"), `${line}\n`),
      config: (directory) => [
        "KexAlgorithms diffie-hellman-group-exchange-sha256",
        `ModuliFile ${join(directory, "moduli")}`,
      ],
    });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig } },
        make: (tund) => ok(tund, ["connect", "testhost"]),
      }),
    ).toEqual([]);
  });
});

describe("a known_hosts file of many hashed lines", () => {
  it.each([20_000, 100_000])("keeps nobody waiting (%i lines)", LONG, async (count) => {
    const sshd = await server();
    const key = sshd.hostKeys[0]?.publicKey ?? "";
    const lines = Array.from({ length: count }, (_, index) => {
      const salt = randomBytes(20);
      const hash = createHmac("sha1", salt).update(`host${index}.example`).digest("base64");
      return `|1|${salt.toString("base64")}|${hash} ${key}\n`;
    });
    const big = join(sshd.directory, "big");
    await writeFile(big, lines.join(""));
    await sshd.addHost("known", { UserKnownHostsFile: `${sshd.knownHosts} ${big}` });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig } },
        make: (tund) => ok(tund, ["connect", "known"]),
      }),
    ).toEqual([]);
  });
});

describe("hosts that say nothing", () => {
  it("keep nobody waiting, and no connect of another host (32 of them)", LONG, async () => {
    const open = new Set<Socket>();
    const silent = createServer((socket) => void open.add(socket.on("error", () => undefined).resume()));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    onTestFinished(() => {
      silent.close();
      for (const socket of open) socket.destroy();
    });
    const sshd = await server();
    const names = Array.from({ length: 32 }, (_, index) => `silent-${index}`);
    for (const name of names) await sshd.addHost(name, { Port: port, HostKeyAlias: name });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig } },
        make: async (tund) => {
          const forwards = names.map((name) =>
            ok(tund, ["forward", "--no-wait", "-L", `${join(tund.home, name)}:127.0.0.1:1`, name], 30_000),
          );
          await Promise.all(forwards);
          await ok(tund, ["connect", "testhost"]);
        },
      }),
    ).toEqual([]);
  });
});

const BANNER = 53; // RFC 4252 section 5.4
const INFO_REQUEST = 60; // RFC 4256 section 3.2

describe("a server that floods us before it lets us in,", () => {
  const flooded = (messages: (hostile: Hostile) => Promise<void>) => {
    const done = { yet: false };
    const begun = new Set<Hostile>();
    const authentication = (context: AuthContext, one: Hostile) => {
      if (context.method === "none") return context.reject(["keyboard-interactive", "password"]);
      if (begun.has(one)) return;
      begun.add(one);
      void messages(one).finally(() => {
        done.yet = true;
        one.client.end();
      });
    };
    return { done, authentication };
  };

  const floods: [string, (hostile: Hostile) => Promise<void>][] = [
    [
      "with banners",
      ({ flood }) => flood(() => message(BANNER, text(`${"x".repeat(30_000)}\r\n`), uint32(0)), 2000),
    ],
    [
      "with short banners",
      ({ flood }) => flood(() => message(BANNER, text("welcome\r\n"), uint32(0)), 50_000),
    ],
    ["with prompts", ({ flood }) => flood(() => prompts(1, "Password: "), 20_000)],
    ["with many prompts at once", ({ flood }) => flood(() => prompts(1000, "Password: "), 1000)],
  ];
  it.each(floods)("%s, keeps nobody waiting", LONG, async (_what, messages) => {
    const { done, authentication } = flooded(messages);
    const bad = await startHostile({ authentication });
    onTestFinished(() => bad.stop());
    const place = await tempDir();
    onTestFinished(() => place.remove());
    const answers = Array.from({ length: 20 }, () => "secret");
    const { env } = await askpass(place.path, answers);
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: bad.sshConfig } },
        make: async (tund) => {
          done.yet = false;
          const connecting = tund.tunctl(["connect", "bad"], { env });
          await Promise.race([connecting, eventually(() => done.yet)]);
          await ok(tund, ["status"]);
          await connecting;
        },
      }),
    ).toEqual([]);
  });
});

/** Questions of keyboard-interactive (RFC 4256 section 3.2). */
function prompts(count: number, prompt: string): Buffer {
  const each = Buffer.concat([text(prompt), Buffer.from([0])]);
  const all = Buffer.concat(Array.from({ length: count }, () => each));
  return message(INFO_REQUEST, text(""), text(""), text(""), uint32(count), all);
}

describe("a login", () => {
  it("with an encrypted key keeps nobody waiting", LONG, async () => {
    const sshd = await server();
    const key = await makeKey(join(sshd.directory, "encrypted"), "ed25519", "secret");
    const authorized = join(sshd.directory, "authorized_keys");
    await writeFile(authorized, `${await readFile(authorized, "utf8")}${key.publicKey}\n`);
    await sshd.addHost("encrypted", { IdentityFile: key.path });
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig } },
        make: async (tund) => {
          const { env } = await askpass(sshd.directory, ["secret"]);
          const { code, stderr } = await tund.tunctl(["connect", "encrypted"], { env, deadlineMs: 20_000 });
          expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        },
      }),
    ).toEqual([]);
  });

  it("of twelve hosts at once keeps nobody waiting", LONG, async () => {
    const sshd = await server();
    const names = await manyHosts(sshd);
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig } },
        make: async (tund) =>
          void (await Promise.all(names.map((name) => ok(tund, ["connect", name], 20_000)))),
      }),
    ).toEqual([]);
  });

  it("of twelve hosts anew, again and again, keeps nobody waiting", LONG, async () => {
    const sshd = await server();
    const names = await manyHosts(sshd);
    expect(
      await lateRuns({
        station,
        tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig, TUND_CONNECT: names.join(" ") } },
        make: async (tund) => {
          for (let round = 0; round < 3; round++) {
            const ready = names.map((name) => ok(tund, ["wait", name, "--timeout", "20"], 25_000));
            await Promise.all(ready);
            sshd.dropSessions();
          }
        },
      }),
    ).toEqual([]);
  });
});

/** Twelve names of one server, each a connection of its own. */
async function manyHosts(sshd: Sshd): Promise<string[]> {
  const names = Array.from({ length: 12 }, (_, index) => `crowd-${index}`);
  for (const [index, name] of names.entries()) await sshd.addHost(name, { ServerAliveInterval: 100 + index });
  return names;
}
