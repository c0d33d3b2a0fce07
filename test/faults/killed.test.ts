// A daemon that is killed with -9 in the middle of anything: what it acknowledged is there again, what was cancelled is not.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { Client } from "../../cli/client.ts";
import { atPath } from "../support/at-path.ts";
import { echoServer } from "../support/echo.ts";
import { eventually } from "../support/eventually.ts";
import { type Home, type Inhabitant, startHome } from "../support/home.ts";
import { startSshd } from "../support/sshd.ts";
import { dialPath, echoed } from "../support/tcp.ts";

const KILLS = 50;
const hosts = ["testhost", "other"] as const;
type Host = (typeof hosts)[number];

/** What was acknowledged: forwards by their path, and hosts kept connected. */
interface Model {
  forwards: Map<string, { id: string | null; host: Host; name: string | null }>;
  kept: Set<Host>;
}

/** The daemon as it is now; another one after each kill. */
interface Real {
  home: Home;
  tund: Inhabitant;
  client: Client;
  echo: string;
  directory: string;
  kills: number;
}

/** A command to the daemon, and what it does to the model once it is acknowledged. */
interface Operation {
  text: string;
  send(real: Real): Promise<(model: Model) => void>;
  /** what it does if it was done, and nobody was told: ids are not known then */
  guess(model: Model): void;
}

const copyOf = (model: Model): Model => ({ forwards: new Map(model.forwards), kept: new Set(model.kept) });
const pathOf = (real: Real, host: Host, slot: number) => join(real.directory, `${host}-${slot}.sock`);

const open = (
  host: Host,
  slot: number,
  options: { ephemeral: boolean; wait: boolean; named: boolean },
): Operation => {
  const name = options.named ? `${host}-${slot}` : null;
  const key = `${host} ${slot}`;
  return {
    text: `open ${key} ${JSON.stringify(options)}`,
    send: async (real) => {
      const spec = `${pathOf(real, host, slot)}:${real.echo}`;
      const { ephemeral, wait } = options;
      const body = {
        host,
        forwards: [{ kind: "local" as const, spec }],
        ephemeral,
        wait,
        ...(name && { name }),
      };
      const { forwards } = await real.client.call("openForwards", { body });
      const [{ id, name: called } = { id: null, name: null }] = forwards;
      return (model) => {
        // An identical one that stands stays as it is, and persistent if it was.
        if (!ephemeral || model.forwards.has(key)) model.forwards.set(key, { id, host, name: called });
      };
    },
    guess: (model) => {
      const standing = model.forwards.get(key);
      if (!options.ephemeral || standing !== undefined)
        model.forwards.set(key, { id: standing?.id ?? null, host, name: name ?? standing?.name ?? null });
    },
  };
};

const cancel = (host: Host, slot: number): Operation => {
  const drop = (model: Model) => void model.forwards.delete(`${host} ${slot}`);
  return {
    text: `cancel ${host} ${slot}`,
    send: async (real) => {
      const body = { host, forwards: [{ kind: "local" as const, spec: pathOf(real, host, slot) }] };
      // What is not there cannot be cancelled, and that is no failure here.
      await real.client.call("cancelForwards", { body }).catch(unlessGone);
      return drop;
    },
    guess: drop,
  };
};

const connect = (host: Host): Operation => {
  const keep = (model: Model) => void model.kept.add(host);
  return {
    text: `connect ${host}`,
    send: async (real) => {
      await real.client.call("connectMaster", { params: { host }, body: {} });
      return keep;
    },
    guess: keep,
  };
};

const exit = (host: Host): Operation => {
  const forget = (model: Model) => {
    model.kept.delete(host);
    for (const [key, forward] of model.forwards) if (forward.host === host) model.forwards.delete(key);
  };
  return {
    text: `exit ${host}`,
    send: async (real) => {
      await real.client.call("exitMaster", { params: { host } }).catch(unlessGone);
      return forget;
    },
    guess: forget,
  };
};

function unlessGone(error: unknown): void {
  if ((error as { code?: string }).code !== "NOT_FOUND") throw error;
}

/** Does an operation, and waits for its answer. */
const done = (operation: Operation): fc.AsyncCommand<Model, Real> => ({
  check: () => true,
  run: async (model, real) => (await operation.send(real))(model),
  toString: () => operation.text,
});

/** Begins an operation, kills the daemon so many ms later, and starts another in its place. */
const killedDuring = (operation: Operation, afterMs: number): fc.AsyncCommand<Model, Real> => ({
  check: () => true,
  run: async (model, real) => {
    const answer = operation.send(real).then(
      (change) => change,
      () => undefined,
    );
    await pause(afterMs);
    await real.tund.stop("SIGKILL");
    const acknowledged = await answer;
    const without = copyOf(model);
    acknowledged?.(model);
    await restart(real);
    real.kills++;
    const found = await lookedAt(real);
    if (acknowledged === undefined) {
      // Nobody was told: it may have been done or not, and nothing between.
      const withIt = copyOf(model);
      operation.guess(withIt);
      const truth = [withIt, without].find((possible) => isSame(found, possible)) ?? without;
      adopt(model, truth, found);
    }
    expect(found).toEqual(expectationOf(model));
    await expectServing(real, model);
  },
  toString: () => `kill -9 ${afterMs} ms into: ${operation.text}`,
});

async function restart(real: Real): Promise<void> {
  real.tund = await real.home.start();
  real.client = new Client(atPath(real.tund.socket));
}

type Found = { forwards: { key: string; id: string | null; name: string | null }[]; kept: string[] };

async function lookedAt(real: Real): Promise<Found> {
  const { forwards } = await real.client.call("listForwards", { querystring: {} });
  const { masters } = await real.client.call("listMasters", {});
  const told = forwards.map(({ id, name, host, bind }) => {
    const slot = /-(\d)\.sock$/.exec("path" in bind ? bind.path : "")?.[1] ?? "?";
    return { key: `${host} ${slot}`, id, name };
  });
  const kept = masters.filter((master) => master.kept).map(({ host }) => host);
  return { forwards: told.sort((a, b) => (a.key < b.key ? -1 : 1)), kept: kept.sort() };
}

const expectationOf = ({ forwards, kept }: Model): Found => ({
  forwards: [...forwards]
    .map(([key, { id, name }]) => ({ key, id, name }))
    .sort((a, b) => (a.key < b.key ? -1 : 1)),
  kept: [...kept].sort(),
});

/** Whether that is how it is; an id that nobody was told may be any. */
function isSame(found: Found, model: Model): boolean {
  const expected = expectationOf(model);
  const known = (id: string | null, key: string) => (model.forwards.get(key)?.id === null ? null : id);
  const forwards = found.forwards.map((one) => ({ ...one, id: known(one.id, one.key) }));
  return JSON.stringify({ ...found, forwards }) === JSON.stringify(expected);
}

function adopt(model: Model, truth: Model, found: Found): void {
  model.kept = truth.kept;
  model.forwards = new Map(
    [...truth.forwards].map(([key, forward]) => {
      const id = forward.id ?? found.forwards.find((one) => one.key === key)?.id ?? null;
      return [key, { ...forward, id }];
    }),
  );
}

async function expectServing(real: Real, model: Model): Promise<void> {
  for (const host of hosts)
    for (const slot of [0, 1, 2]) {
      const path = pathOf(real, host, slot);
      if (model.forwards.has(`${host} ${slot}`))
        await eventually(async () => {
          const socket = await dialPath(path);
          expect(await echoed(socket, "back")).toBe("back");
          socket.destroy();
        });
      // The file of one that was killed may stay, but nobody answers on it.
      else if (existsSync(path)) await expect(dialPath(path)).rejects.toThrow(/ECONNREFUSED/);
    }
}

const operations = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...hosts),
        fc.nat(2),
        fc.record({ ephemeral: fc.boolean(), wait: fc.boolean(), named: fc.boolean() }),
      )
      .map((args) => open(...args)),
  },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom(...hosts), fc.nat(2)).map((args) => cancel(...args)) },
  { weight: 1, arbitrary: fc.constantFrom(...hosts).map(connect) },
  { weight: 1, arbitrary: fc.constantFrom(...hosts).map(exit) },
);
const commands = [
  operations.map(done),
  fc.tuple(operations, fc.integer({ min: 0, max: 25 })).map((args) => killedDuring(...args)),
];

it(`killed at ${KILLS} random moments has all that was acknowledged, and nothing that was taken back`, async () => {
  const sshd = await startSshd();
  await sshd.addHost("other", { ServerAliveInterval: 77 });
  const echo = join(sshd.directory, "echo.sock");
  const far = await echoServer({ path: echo });
  onTestFinished(async () => {
    await far.close();
    await sshd.stop();
  });
  const count = { kills: 0 };
  const property = fc.asyncProperty(
    fc.commands(commands, { size: "+1", maxCommands: 24 }),
    async (sequence) => {
      const home = await startHome({ TUND_SSH_CONFIG: sshd.sshConfig });
      const tund = await home.start();
      const real: Real = {
        home,
        tund,
        client: new Client(atPath(tund.socket)),
        echo,
        directory: tund.home,
        kills: 0,
      };
      try {
        const model: Model = { forwards: new Map(), kept: new Set() };
        await fc.asyncModelRun(() => ({ model, real }), sequence);
      } finally {
        count.kills += real.kills;
        await real.tund.stop("SIGKILL");
      }
    },
  );
  // The seed is printed by fast-check when it fails; one run at a time, until there were enough kills.
  while (count.kills < KILLS)
    await fc.assert(property, { numRuns: 1, endOnFailure: true, seed: Date.now() % 2 ** 31 });
  expect(count.kills).toBeGreaterThanOrEqual(KILLS);
}, 900_000);
