// Logins that a real server refuses after it has accepted them: its look-up of keys is away for a while, say.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Master } from "../../shared/records.ts";
import { startTund, type Tund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { startSshd } from "../support/sshd.ts";
import { tempDir } from "../support/temp-dir.ts";

async function masters(tund: Tund): Promise<Master[]> {
  const { stdout } = await tund.tunctl(["status", "--json"]);
  return (JSON.parse(stdout) as { masters: Master[] }).masters;
}

/** A server whose keys can be away, and a daemon with a home that outlives it. */
async function stage(names: readonly string[]) {
  const [sshd, home] = await Promise.all([startSshd(), tempDir()]);
  // Each is a connection of its own only if something that decides it is different.
  for (const [index, name] of names.entries()) await sshd.addHost(name, { ServerAliveInterval: 100 + index });
  const keys = join(sshd.directory, "authorized_keys");
  const good = await readFile(keys, "utf8");
  const daemons: Tund[] = [];
  onTestFinished(async () => {
    for (const tund of daemons) await tund.stop();
    await sshd.stop();
    await home.remove();
  });
  const start = async () => {
    const tund = await startTund({ home: home.path, env: { TUND_SSH_CONFIG: sshd.sshConfig } });
    daemons.push(tund);
    return tund;
  };
  return {
    sshd,
    home: home.path,
    start,
    keysAway: () => writeFile(keys, ""),
    keysBack: () => writeFile(keys, good),
    refusals: () => sshd.log().split("Connection closed by authenticating user").length - 1,
  };
}

const connect = async (tund: Tund, name: string) =>
  expect(await tund.tunctl(["connect", name])).toMatchObject({ code: 0, stderr: "" });

/** The only master, once it is so. */
const only = (tund: Tund, state: Master["state"]) =>
  eventually(
    async () => {
      const [master] = await masters(tund);
      if (master?.state !== state || (state === "waiting" && master.failure?.code !== "AUTH_FAILED"))
        throw new Error(`it is ${master?.state}: ${master?.failure?.message}`);
      return master;
    },
    { deadlineMs: 30_000 },
  );

describe("a login that is refused", () => {
  it("after it was accepted is tried again after 10 s, says so, and is let in when the keys are back", async () => {
    const { sshd, start, keysAway, keysBack } = await stage(["db"]);
    const tund = await start();
    await connect(tund, "db");
    await keysAway();
    sshd.dropSessions();
    const { failure, retryAt } = await only(tund, "waiting");
    expect(Date.parse(retryAt ?? "") - Date.parse(failure?.at ?? "")).toBeGreaterThan(9500);
    expect(Date.parse(retryAt ?? "") - Date.parse(failure?.at ?? "")).toBeLessThan(10_500);
    await keysBack();
    expect(await only(tund, "ready")).toMatchObject({ reconnects: 1 });
  });

  it("for the first time is failed at once", async () => {
    const { start, keysAway, keysBack, refusals } = await stage(["db"]);
    const tund = await start();
    await keysAway();
    expect(await tund.tunctl(["connect", "db"])).toMatchObject({ code: 7 });
    expect(await masters(tund)).toEqual([]);
    await keysBack();
    await connect(tund, "db");
    expect(refusals()).toBe(1);
  });

  it("after it was accepted by an earlier tund is tried again, and state that makes no sense of it loses nothing else", async () => {
    const { home, start, keysAway } = await stage(["db"]);
    const first = await start();
    await connect(first, "db");
    const file = join(home, "state", "state.json");
    await eventually(async () => expect(await readFile(file, "utf8")).toContain("goodLogin"));
    const saved = await readFile(file, "utf8");
    expect(saved).toMatch(/"identity": ?"ED25519 SHA256:[\w+/]{43}"/);
    await first.stop();
    await keysAway();
    const second = await start();
    await only(second, "waiting");
    await second.stop();
    await writeFile(file, saved.replace(/"goodLogin": ?\{[^}]*\}/, '"goodLogin":7'));
    const third = await start();
    await only(third, "failed");
    expect(third.log()).not.toContain("damaged");
  });

  it("by one server under seven names is tried three times, by whichever of them; the others wait", async () => {
    const names = Array.from({ length: 7 }, (_, index) => `name${index}`);
    const { sshd, start, keysAway, refusals } = await stage(names);
    const tund = await start();
    await Promise.all(names.map((name) => connect(tund, name)));
    await keysAway();
    sshd.dropSessions();
    await eventually(
      async () => {
        const all = await masters(tund);
        expect(all.map(({ state }) => state)).toEqual(names.map(() => "waiting"));
        const held = all.filter(({ failure }) => failure?.message.includes("within 10 minutes") === true);
        expect(held).toHaveLength(4);
        for (const { retryAt } of held)
          expect(Date.parse(retryAt ?? "") - Date.now()).toBeGreaterThan(400_000);
      },
      { deadlineMs: 60_000 },
    );
    expect(refusals()).toBe(3);
  });
});
