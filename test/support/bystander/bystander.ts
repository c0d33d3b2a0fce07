// A bystander of one tund: a master that nothing happens to, with a forward over which a byte goes each 20 ms, and a control
// whose bytes do not go through tund: some go straight to their echo, some by way of ssh and the same server. Tells what the bystander felt, and which turns of tund's event loop were long.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Client } from "../../../cli/client.ts";
import { type Background, startInBackground } from "../background.ts";
import { eventually } from "../eventually.ts";
import { tempDir } from "../temp-dir.ts";
import { atPath } from "../at-path.ts";
import { type Profile, whatRan } from "./profile.ts";
import { besideControls, delayWithin, type Delays, type Lane, type Seen, type Turn } from "./waits.ts";

/** The server that bystanders are on. */
export interface Station {
  host: string;
  port: number;
  user: string;
  identity: string;
  knownHosts: string;
}

/** The host under which tund has it. */
export const BYSTANDER = "tund-bystander";

// A busy machine takes long to log in, and that is what the control is for.
const SSH_DEADLINE_MS = 60_000;

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** What tund is started with so that its turns are known, and where that is asked. `remove` takes the place away. */
export async function makeProbe(): Promise<{
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  path: string;
  remove(): Promise<void>;
}> {
  const directory = await tempDir();
  const path = join(directory.path, "probe");
  return {
    argv: ["--require", here("probe.cjs")],
    env: { TUND_TEST_PROBE: path },
    path,
    remove: () => directory.remove(),
  };
}

export interface Bystander {
  /** Ends it, and tells what it saw. While tund still runs: it is asked for its turns. A second time is no error. */
  end(): Promise<Seen>;
}

/**
 * Adds a bystander to the tund at `socket`, which was started with a probe at `probe`; its ticks go when this settles.
 * @throws Error when tund does not set the forward up
 */
export async function startBystander(socket: string, probe: string, station: Station): Promise<Bystander> {
  const place = await tempDir();
  const [ours, theirs] = [join(place.path, "tund"), join(place.path, "ssh")];
  const [ticks, control] = await Promise.all([startTicks(), startTicks()]);
  const ssh = await startSsh(station, `${theirs}:127.0.0.1:${control.port}`, place.path);
  const end = async () => {
    for (const child of [ticks.child, control.child, ssh]) child.kill("SIGKILL");
    await place.remove();
  };
  try {
    await Promise.all([
      openForward(socket, station, `${ours}:127.0.0.1:${ticks.port}`),
      eventually(() => existsSync(theirs), { deadlineMs: SSH_DEADLINE_MS }),
    ]);
  } catch (error) {
    await end();
    throw error;
  }
  ticks.child.send({ run: "through tund", where: { path: ours } });
  const straight = { port: control.port, host: "127.0.0.1" };
  for (const { child } of [ticks, control]) child.send({ run: "control", where: straight });
  control.child.send({ run: "through ssh", where: { path: theirs } });
  const from = Number(process.hrtime.bigint()) / 1e6;
  let seen: Promise<Seen> | null = null;
  const see = async () => {
    try {
      return { from, ...(await look(ticks.child, control.child, probe)) };
    } finally {
      await end();
    }
  };
  return { end: () => (seen ??= see()) };
}

async function startTicks(): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(here("ticks.mjs"), { execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return { child, port };
}

/** What leads to it, as `-o` takes it. */
function optionsOf({ host, port, user, identity, knownHosts }: Station): string[] {
  return [
    `HostName=${host}`,
    `Port=${port}`,
    `User=${user}`,
    `IdentityFile=${identity}`,
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    `UserKnownHostsFile=${knownHosts}`,
    "GlobalKnownHostsFile=/dev/null",
    "ControlPath=none",
  ];
}

function startSsh(station: Station, spec: string, directory: string): Promise<Background> {
  const options = optionsOf(station).flatMap((option) => ["-o", option]);
  const args = ["-F", "none", "-N", ...options, "-L", spec, BYSTANDER];
  return startInBackground("ssh", args, { env: { PATH: process.env["PATH"] }, cwd: directory });
}

async function openForward(socket: string, station: Station, spec: string): Promise<void> {
  const options = optionsOf(station);
  await new Client(atPath(socket)).call("openForwards", {
    body: {
      host: BYSTANDER,
      connection: { configFile: "none", options },
      forwards: [{ kind: "local", spec }],
      ephemeral: true,
    },
  });
}

async function look(ticks: ChildProcess, control: ChildProcess, probe: string): Promise<Omit<Seen, "from">> {
  const [through, direct] = await Promise.all([lanesOf(ticks), lanesOf(control)]);
  const lane = through["through tund"];
  const all = [through["control"], direct["control"], direct["through ssh"]];
  const controls = all.filter((one) => one !== undefined);
  if (lane === undefined || controls.length < all.length)
    throw new Error("a bystander's process told nothing");
  const { turns, delays, unknown } = await askProbe(probe);
  return { ticks: lane.ticks, waits: besideControls(lane, controls, delays), turns, unknown };
}

async function lanesOf(child: ChildProcess): Promise<Record<string, Lane>> {
  const told = once(child, "message");
  child.send({ report: true });
  const [{ lanes }] = (await told) as [{ lanes: Record<string, Lane> }];
  return lanes;
}

type MeasuredTurn = Omit<Turn, "ms" | "ran">;

async function askProbe(probe: string): Promise<{ turns: Turn[]; delays: Delays; unknown: string | null }> {
  const socket = connect(probe);
  try {
    await once(socket, "connect");
    const { turns, delays, profile } = (await json(socket)) as {
      turns: MeasuredTurn[];
      delays: Delays;
      profile: Profile | null;
    };
    const known = turns.map((turn) => ({
      ...turn,
      ms: turn.end - turn.start - delayWithin(delays, turn.start, turn.end),
      ran: ranIn(turn, profile),
    }));
    return { turns: known, delays, unknown: null };
  } catch {
    return { turns: [], delays: [], unknown: "tund had ended before it was asked" };
  } finally {
    socket.destroy();
  }
}

function ranIn({ start, end }: MeasuredTurn, profile: Profile | null): string {
  if (profile === null) return "not known: it is in a call that does not end";
  return whatRan(profile, start, end) ?? "nothing: it had no processor";
}
