// The environment that programs of ssh_config have: that of whoever asked for the host, as with ssh, for as long as tund lives.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";
import { commonPlace, runAs, startAsUs, US, whyNoUsers } from "../support/users.ts";

const PATIENCE = { deadlineMs: 60_000 };
const SECRET = "s3cr3t-of-the-caller";

let sshd: Sshd;
let seen: string;

beforeAll(async () => {
  sshd = await startSshd();
  seen = join(sshd.directory, "seen");
  await sshd.addHost("proxied", proxied("proxied"));
});
afterAll(async () => {
  await sshd?.stop();
});

const ALL = "$AWS_PROFILE home=$HOME user=$USER state=$TUND_STATE_DIR path=$PATH pwd=$PWD";

/** The settings of a host behind a ProxyCommand that tells what it sees. */
const proxied = (name: string) => ({
  ProxyCommand: `sh -c 'echo "${name} ${ALL}" >> ${seen}; exec ssh -F ${sshd.sshConfig} -W 127.0.0.1:${sshd.port} testhost'`,
  HostKeyAlias: `[127.0.0.1]:${sshd.port}`,
});

/** What a program has told of itself so far, a line each. */
async function told(name: string): Promise<string[]> {
  const text = await readFile(seen, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name} `))
    .map((line) => line.slice(name.length + 1));
}

const profiles = async (name: string) => (await told(name)).map((line) => line.split(" ")[0]);

async function startDaemon(options: Parameters<typeof startTund>[0] = {}): Promise<Tund> {
  const tund = await startTund({ ...options, env: { TUND_SSH_CONFIG: sshd.sshConfig, ...options.env } });
  onTestFinished(async () => void (await tund.stop()));
  return tund;
}

const as = (profile: string, more: Record<string, string> = {}) => ({
  env: { AWS_PROFILE: profile, ...more },
});

async function ok(tund: Tund, args: readonly string[], options = {}): Promise<string> {
  const { code, stdout, stderr } = await tund.tunctl(args, options);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

async function theOnly(tund: Tund): Promise<Master> {
  const { masters } = JSON.parse(await ok(tund, ["status", "--json"])) as { masters: Master[] };
  expect(masters).toHaveLength(1);
  return masters[0] as Master;
}

const redialled = async (tund: Tund): Promise<void> => {
  const { reconnects } = await theOnly(tund);
  sshd.dropSessions();
  await eventually(async () => {
    const now = await theOnly(tund);
    return now.state === "ready" && now.reconnects === reconnects + 1;
  }, PATIENCE);
};

describe("the environment of a ProxyCommand", () => {
  it("is the caller's, at every dial, and the newer one's who asks for the same again", async () => {
    const tund = await startDaemon({ env: { AWS_PROFILE: "of-tund" } });
    await ok(
      tund,
      ["connect", "proxied"],
      as("prod", {
        HOME: "/nowhere",
        USER: "nobody",
        TUND_STATE_DIR: "/x",
        PATH: `/own:${process.env["PATH"]}`,
      }),
    );
    const [first = ""] = await told("proxied");
    expect(first).toContain("prod ");
    expect(first).toContain(`home=${tund.home} `);
    expect(first).not.toContain("nobody");
    expect(first).toContain(`state=${join(tund.home, "state")} `);
    expect(first).toContain("path=/own:");
    await redialled(tund);
    expect(await profiles("proxied")).toEqual(["prod", "prod"]);
    await ok(tund, ["connect", "proxied"], as("dev"));
    expect(await profiles("proxied")).toEqual(["prod", "prod"]); // its link stands
    await redialled(tund);
    expect(await profiles("proxied")).toEqual(["prod", "prod", "dev"]);
    await ok(tund, ["forward", "-L", `${await freePort()}:127.0.0.1:1`, "proxied"], as("stage"));
    await redialled(tund);
    expect((await profiles("proxied")).at(-1)).toBe("stage");
    expect((await theOnly(tund)).warnings).toEqual([]);
  });

  it("has nothing of tund's that the caller lacks", async () => {
    await sshd.addHost("lacking", proxied("lacking"));
    const tund = await startDaemon({ env: { AWS_PROFILE: "of-tund" } });
    await ok(tund, ["connect", "lacking"], { env: { AWS_PROFILE: undefined } });
    expect(await profiles("lacking")).toEqual([""]);
  });

  it("is its jump host's as well", async () => {
    await sshd.addHost("first", proxied("first"));
    await sshd.addHost("behind", { ProxyJump: "first" });
    const tund = await startDaemon();
    await ok(tund, ["connect", "behind"], as("prod"));
    expect(await profiles("first")).toEqual(["prod"]);
    const { masters } = JSON.parse(await ok(tund, ["status", "--json"])) as { masters: Master[] };
    expect(masters.map(({ host }) => host).sort()).toEqual(["behind", "first"]);
  });

  it("is what ssh -G, Match exec and KnownHostsCommand have as well", async () => {
    const home = await tempDir();
    onTestFinished(() => home.remove());
    const config = join(home.path, "config");
    const script = join(home.path, "known");
    await writeFile(script, `#!/bin/sh\necho "known $AWS_PROFILE" >> ${seen}\ncat ${sshd.knownHosts}\n`, {
      mode: 0o755,
    });
    const lines = [
      `Match originalhost decided exec "test $AWS_PROFILE = prod"`,
      `  Port ${sshd.port}`,
      "Host decided",
      "  Port 1",
      "  HostName 127.0.0.1",
      `  IdentityFile ${join(sshd.directory, "${KEY}")}`,
      "  UserKnownHostsFile none",
      "  GlobalKnownHostsFile /dev/null",
      `  KnownHostsCommand ${script}`,
    ];
    await writeFile(config, `${lines.join("\n")}\n`);
    const tund = await startDaemon({ env: { TUND_SSH_CONFIG: config } });
    await ok(tund, ["connect", "decided"], as("prod", { KEY: "id_ed25519" }));
    expect((await profiles("known")).every((profile) => profile === "prod")).toBe(true);
    const before = (await profiles("known")).length;
    expect(before).toBeGreaterThan(0);
    await redialled(tund);
    expect((await profiles("known")).slice(before)).toEqual(Array.from({ length: before }, () => "prod"));
  });

  it("is nowhere to be found but in memory, and status says that it is gone when tund has been started again", async () => {
    const home = await tempDir();
    onTestFinished(() => home.remove());
    await sshd.addHost("kept", proxied("kept"));
    await sshd.addHost("direct");
    const tund = await startDaemon({ home: home.path, env: { TUND_LOG_LEVEL: "debug" } });
    await ok(tund, ["connect", "kept"], as("prod", { TOKEN: SECRET }));
    await ok(tund, ["connect", "direct"], as("prod", { TOKEN: SECRET }));
    const shown = [
      await ok(tund, ["status", "--json"]),
      await ok(tund, ["status"]),
      (await tund.tunctl(["doctor", "kept"], as("prod", { TOKEN: SECRET }))).stdout,
      tund.log(),
    ];
    for (const text of shown) expect(text).not.toContain(SECRET);
    await tund.stop();
    const files = await readdir(join(home.path, "state"));
    expect(files).toContain("state.json");
    for (const file of files)
      expect(await readFile(join(home.path, "state", file), "utf8")).not.toContain(SECRET);

    const again = await startDaemon({ home: home.path, env: { AWS_PROFILE: "of-tund" } });
    const masters = () =>
      eventually(async () => {
        const all = (JSON.parse(await ok(again, ["status", "--json"])) as { masters: Master[] }).masters;
        expect(all.map(({ state }) => state)).toEqual(["ready", "ready"]);
        return Object.fromEntries(all.map(({ host, warnings }) => [host, warnings]));
      }, PATIENCE);
    expect(await masters()).toEqual({
      kept: [
        "kept was asked for with another environment than tund's own, which ended with the tund before this one: its " +
          "ProxyCommand, KnownHostsCommand and Match exec have tund's own now; 'tunctl connect kept' gives them yours",
      ],
      direct: [],
    });
    expect((await profiles("kept")).at(-1)).toBe("of-tund");
    await ok(again, ["connect", "kept"], as("prod"));
    expect((await masters())["kept"]).toEqual([]);
  });

  it("leaves out what is over 32 KiB, and names it", async () => {
    await sshd.addHost("large", proxied("large"));
    const tund = await startDaemon();
    const { code, stderr } = await tund.tunctl(
      ["connect", "large"],
      as("prod", { HUGE: "x".repeat(40_000) }),
    );
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: "tunctl: warning: not passed on of the environment, for want of room in 32 KiB: HUGE\n",
    });
    expect(await profiles("large")).toEqual(["prod"]);
    // Whoever speaks to the API is held to the same.
    const environment = [
      "AWS_PROFILE=dev",
      "NOTHING",
      ...["ONE", "TWO"].map((name) => `${name}=${"x".repeat(20_000)}`),
    ];
    expect(await put(tund, "/v1/masters/large", { caller: { environment } })).toMatchObject({
      warnings: ["of the environment that large was asked for with, TWO did not fit into 32 KiB"],
    });
    await redialled(tund);
    expect(await profiles("large")).toEqual(["prod", "dev"]);
  });
});

describe.skipIf(whyNoUsers() !== undefined)("the environment of another user", () => {
  it("is nothing to tund, be they root", async () => {
    const place = await commonPlace();
    const tund = await startAsUs(place, { AWS_PROFILE: "of-tund" });
    const file = join(tund.home, "profiles");
    const line = `ProxyCommand echo "profile $AWS_PROFILE" >> ${file}; exit 1`;
    await writeFile(join(tund.home, "ssh_config"), `${line}\nUserKnownHostsFile none\nIdentityAgent none\n`);
    const body = { caller: { environment: ["AWS_PROFILE=of-root"] }, timeoutSeconds: 60 };
    expect(await put(tund, "/v1/masters/host", body)).toMatchObject({ code: "HOST_UNREACHABLE" });
    expect(await readFile(file, "utf8")).toBe("profile of-tund\n");
    const env = { HOME: tund.home, TUND_SOCKET: tund.socket, AWS_PROFILE: "of-us" };
    expect((await runAs(US, ["tunctl", "connect", "host"], env)).stderr).toContain("ProxyCommand of host");
    expect(await readFile(file, "utf8")).toBe("profile of-tund\nprofile of-us\n");
  });
});

/** Asks the API. */
function put(tund: Tund, path: string, body: object): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const asked = request(
      { socketPath: tund.socket, method: "PUT", path, headers, agent: false },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        answer.once("end", () => resolve(JSON.parse(text)));
      },
    );
    asked.once("error", reject);
    asked.end(JSON.stringify(body));
  });
}
