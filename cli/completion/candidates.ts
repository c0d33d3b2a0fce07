// What can stand at a place: from the verbs' own data, from the daemon, and from ssh_config.
import { resolve } from "node:path";
import type { Forward, Master } from "../../shared/records.ts";
import { type Kind, namesOf, type Option, valuesOf } from "../args.ts";
import { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { configFile } from "../connection-options.ts";
import { kindOf } from "../forward-options.ts";
import { socket } from "../global-options.ts";
import { chooseSocket } from "../socket.ts";
import type { Place } from "./place.ts";
import { hostsIn } from "./ssh-config-hosts.ts";

/** A word that can stand there, and what it is. */
export interface Candidate {
  readonly word: string;
  readonly about: string;
}

// Who presses TAB waits for it.
const DEADLINE_MS = 1000;

interface World {
  readonly place: Place;
  readonly verbs: readonly Command[];
  readonly context: Context;
}

/** The candidates for a place, whole words all; or that files can stand there, which a shell completes itself. */
export async function candidatesFor(
  place: Place,
  verbs: readonly Command[],
  context: Context,
): Promise<readonly Candidate[] | "files"> {
  const { wanted } = place;
  if ("names" in wanted) return wanted.names.flatMap(optionNames);
  const world = { place, verbs, context };
  const found = "kind" in wanted ? await thingsOf(wanted.kind, world) : await valuesFor(wanted.value, world);
  if (found === "files") return found;
  return found.map(({ word, about }) => ({ word: `${place.prefix}${word}`, about }));
}

const optionNames = (option: Option): Candidate[] =>
  namesOf(option).map((word) => ({ word, about: option.help }));

async function valuesFor(option: Option, world: World): Promise<readonly Candidate[] | "files"> {
  const kind = kindOf(option);
  if (kind !== undefined) return world.place.namesStanding ? standing(kind, world) : [];
  return option.takes === undefined ? [] : thingsOf(option.takes, world);
}

async function thingsOf(kind: Kind, world: World): Promise<readonly Candidate[] | "files"> {
  if (typeof kind !== "string") return kind.map((word) => ({ word, about: "" }));
  switch (kind) {
    case "files":
      return kind;
    case "verbs":
      return world.verbs.map(({ name, summary }) => ({ word: name, about: summary }));
    case "masters":
      return mastersOf(await live(world));
    case "hosts":
      return hosts(await live(world), world);
    case "records": {
      const found = await live(world);
      return [...mastersOf(found), ...found.forwards.flatMap(forwardNames)];
    }
  }
}

interface Live {
  readonly masters: readonly Master[];
  readonly forwards: readonly Forward[];
}

/** What the daemon has; nothing if it does not say so in time. */
async function live({ place, context }: World): Promise<Live> {
  try {
    const asked = valuesOf(place.given, socket).find((path) => path !== "");
    const path = chooseSocket(context, asked && fromHome(asked, context), () => undefined);
    const client = new Client({ path, native: context.native }, { signal: AbortSignal.timeout(DEADLINE_MS) });
    const [{ masters }, { forwards }] = await Promise.all([
      client.call("listMasters", {}),
      client.call("listForwards", { querystring: {} }),
    ]);
    return { masters, forwards };
  } catch {
    return { masters: [], forwards: [] };
  }
}

// Shells hand words over as they were typed.
const fromHome = (path: string, { cwd, home }: Context): string =>
  resolve(
    cwd,
    path.replace(/^~(?=\/)/, () => home),
  );

const mastersOf = ({ masters }: Live): Candidate[] =>
  masters.flatMap(({ names, user, hostname, state }) =>
    names.map((word) => ({ word, about: `${state}, ${user}@${hostname}` })),
  );

function hosts(found: Live, { place, context }: World): Candidate[] {
  const known = mastersOf(found);
  const file = valuesOf(place.given, configFile).findLast((path) => path !== "") ?? "~/.ssh/config";
  const aliases = hostsIn(fromHome(file, context), context.home)
    .filter((alias) => !known.some(({ word }) => word === alias))
    .map((word) => ({ word, about: "of ssh_config" }));
  return [...known, ...aliases];
}

const letters = { local: "L", remote: "R", dynamic: "D" } as const;

const forwardNames = ({ id, name, kind, spec, host, state }: Forward): Candidate[] =>
  [name, id].flatMap((word) =>
    word === null ? [] : { word, about: `-${letters[kind]} ${spec} ${host}, ${state}` },
  );

/** The specs of standing forwards of one kind: those of the host on the line, if there is one. */
async function standing(kind: Forward["kind"], world: World): Promise<Candidate[]> {
  const { masters, forwards } = await live(world);
  const { positionals } = world.place;
  const named = masters.find(({ names }) => names.some((name) => positionals.includes(name)));
  return forwards
    .filter((forward) => forward.kind === kind && (named === undefined || named.names.includes(forward.host)))
    .map(({ spec, host, state, allocatedPort }) => ({
      word: spec,
      about: `${host}, ${state}${allocatedPort === null ? "" : `, port ${allocatedPort}`}`,
    }));
}
