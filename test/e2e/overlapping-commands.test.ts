// Four clients of a tund that say whatever comes to their minds at the same time, some without waiting for the answer.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { Client } from "../../cli/client.ts";
import { atPath } from "../support/at-path.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startTund } from "../support/daemon.ts";
import { startSshd } from "../support/sshd.ts";
import { refuses } from "../support/tcp.ts";

const CLIENTS = 4;
const COMMANDS = Number(process.env["TUND_TEST_COMMANDS"] ?? 65);
const hosts = ["testhost", "alias", "other"] as const;

const command = fc.record({
  verb: fc.constantFrom("connect", "forward", "reconnect", "cancel", "stop", "exit"),
  host: fc.constantFrom(...hosts),
  port: fc.nat({ max: 1 }),
  options: fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    fc.constantFrom("ServerAliveInterval=7", "ExitOnForwardFailure=yes").map((option) => [option]),
  ),
  /** after so many turns of the loop whoever asked is gone */
  patience: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.nat({ max: 300 })),
});
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

it(
  `leaves no name behind that can be neither used nor given up: ${CLIENTS * COMMANDS} commands`,
  { timeout: 300_000 },
  async () => {
    const sshd = await startSshd();
    onTestFinished(() => sshd.stop());
    for (const name of ["alias", "other"]) await sshd.addHost(name);
    const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
    onTestFinished(async () => void (await tund.stop()));
    const ports = [await freePort(), await freePort()];

    const say = async ({ verb, host, port, options, patience }: Command): Promise<void> => {
      const gone = new AbortController();
      const client = new Client(atPath(tund.socket), { signal: gone.signal });
      const connection = options && { connection: { options } };
      const forwards = [{ kind: "local" as const, spec: `${ports[port]}:127.0.0.1:1` }];
      const params = { host };
      const asked = {
        connect: () => client.call("connectMaster", { params, body: { ...connection } }),
        forward: () => client.call("openForwards", { body: { host, forwards, ...connection } }),
        reconnect: () => client.call("reconnectMaster", { params }),
        cancel: () => client.call("cancelForwards", { body: { host, forwards } }),
        stop: () => client.call("stopMaster", { params }),
        exit: () => client.call("exitMaster", { params }),
      }[verb as "connect"]();
      asked.catch(() => undefined); // it says why not: that is as good an answer as any
      for (let turns = patience ?? 0; turns > 0; turns--) await turn();
      if (patience !== null) gone.abort();
      await asked.catch(() => undefined);
    };

    const client = new Client(atPath(tund.socket));
    const namesNow = async () =>
      (await client.call("getStatus", {})).masters.flatMap(({ names }) => [...names]);
    const saved = async (): Promise<string> => {
      const file = join(tund.home, "state", "state.json");
      return existsSync(file) ? await readFile(file, "utf8") : "";
    };
    const script = fc.array(command, { minLength: COMMANDS, maxLength: COMMANDS });
    const scripts = fc.tuple(script, script, script, script);
    // fast-check prints the seed when it fails.
    const property = fc.asyncProperty(scripts, async (all) => {
      await Promise.all(
        all.map(async (own) => {
          for (const one of own) await say(one);
        }),
      );
      // What was stopped has no connections to wait for: it goes by itself.
      await eventually(async () => {
        const { masters } = await client.call("getStatus", {});
        expect(masters.filter(({ state }) => state === "closing" || state === "closed")).toEqual([]);
      });
      const listed = (await client.call("listForwards", { querystring: {} })).forwards.map(
        ({ spec }) => spec,
      );
      for (const port of ports)
        expect(await refuses(port)).toBe(listed.every((spec) => !spec.startsWith(`${port}:`)));
      for (let [name] = await namesNow(); name !== undefined; [name] = await namesNow()) {
        await client.call("exitMaster", { params: { host: name } });
        expect(await namesNow()).not.toContain(name);
      }
      // The state that was written last is at the file's end.
      await eventually(async () => expect((await saved()).trimEnd()).toMatch(/"hosts":\s*\[\]\s*\}$/));
      for (const port of ports) expect(await refuses(port)).toBe(true);
      for (const host of hosts)
        expect(await client.call("connectMaster", { params: { host }, body: {} })).toMatchObject({
          state: "ready",
        });
      for (const host of ["alias", "other"])
        await client.call("exitMaster", { params: { host } }).catch(() => undefined);
    });
    const seed = process.env["TUND_TEST_SEED"];
    await fc.assert(property, {
      numRuns: 1,
      endOnFailure: true,
      ...(seed !== undefined && { seed: Number(seed) }),
    });
  },
);
