// What a server shows to whoever asks, without logging in: its host keys, its version, and how it would have us log in.
import type { Clock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import type { Resolver } from "../resolver.ts";
import { keyScan, type Offered } from "./algorithms.ts";
import type { Children } from "./children.ts";
import { type Around, clockWithin, tellWithin } from "./current-host.ts";
import { type DialQueue, somebody, type Turn } from "./dial-queue.ts";
import { connectionFailure } from "./failure.ts";
import { type HostConfig, whereOf } from "./host-config.ts";
import type { Kems } from "./kex/kems.ts";
import { KEY_EXCHANGE_MS, Phases, versionLimitMs } from "./phases.ts";
import { Outstanding } from "./outstanding.ts";
import { reach } from "./reach.ts";
import { names } from "./said.ts";
import { SshClient } from "./ssh2/client.ts";
import type { Wire } from "./wire.ts";

export interface Probing {
  config: HostConfig;
  /** the way there, anew for each look, where another master leads to the host */
  wireTo: () => Promise<Wire | undefined>;
  /** ends a look: nobody waits for it any longer */
  signal: AbortSignal;
  /** whose turn it is to dial and to exchange keys; shared with all that connects */
  turns: DialQueue;
  /** runs what is the host's: what it throws is known to be */
  around: Around;
  resolver: Resolver;
  children: Children;
  kems: Kems;
  clock: Clock;
}

export interface Shown {
  key: Buffer;
  server: string | null;
  /** how keys were exchanged; null when it was not asked */
  kex: string | null;
  /** the authentication methods that it offers; null when it was not asked, or had not answered after 30 s */
  methods: string[] | null;
}

type Offer = Pick<Offered, "algorithms" | "kex">;

// A server may have somebody asked elsewhere before it says: whoever wants a look is not kept waiting for that.
const METHODS_MS = 30_000;

const families = [
  ["ssh-ed25519"],
  ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"],
  ["rsa-sha2-512", "rsa-sha2-256"],
];

/** All host keys of a server, one connection each, as ssh-keyscan(1) has them. @throws TundError when none could be had */
export async function hostKeysOf(probing: Probing): Promise<Buffer[]> {
  const keys: Buffer[] = [];
  const hybrids = await probing.kems.offered();
  let failure: unknown;
  for (const family of families)
    try {
      keys.push((await look(probing, keyScan(family, hybrids), false)).key);
    } catch (error) {
      failure ??= error;
      // One that cannot be reached cannot be reached the next time either.
      if (!(error instanceof TundError && error.code === "KEX_FAILED")) throw error;
    }
  if (keys.length === 0) throw failure;
  return keys;
}

/**
 * Looks at a server as a login would find it, up to where it would have to prove something: nothing secret is sent.
 * @throws TundError why it could not be looked at
 */
export const lookAt = (probing: Probing, offer: Offer): Promise<Shown> => look(probing, offer, true);

// The way comes first: who leads there may have to dial as well.
async function look(probing: Probing, offer: Offer, asks: boolean): Promise<Shown> {
  const { turns, wireTo, signal } = probing;
  const wire = await wireTo();
  try {
    const turn = await turns.take({ ...somebody, signal });
    try {
      return await lookBy(wire, { ...probing, turn }, { ...offer, asks });
    } finally {
      turn.end();
    }
  } finally {
    wire?.destroy();
  }
}

// Told on the second call, when `none` was refused.
function asking(username: string, left: unknown, tell: (methods: string[]) => void) {
  if (!Array.isArray(left)) return { type: "none" as const, username };
  tell(names(left));
  return false as unknown as "none";
}

async function lookBy(
  way: Wire | undefined,
  { config, turn, signal, around, resolver, children, kems, ...probing }: Probing & { turn: Turn },
  { algorithms, kex: offered, asks }: Offer & { asks: boolean },
): Promise<Shown> {
  const over = new AbortController();
  const ending = AbortSignal.any([signal, over.signal]);
  const clock = clockWithin(probing.clock, around);
  const wire = await reach({ config, wire: way, resolver, children, clock, signal: ending });
  tellWithin(wire, around);
  const client = new SshClient({ socket: wire, clock, around });
  const shown: Partial<Shown> = {};
  client.onHandshake(({ kex }) => {
    turn.end();
    shown.kex = kex;
  });
  const phases = new Phases(clock, new Outstanding());
  try {
    return await new Promise<Shown>((resolve, reject) => {
      const done = (why: unknown) => {
        const { key, kex = null, methods = null } = shown;
        if (key !== undefined) return resolve({ key, server: client.serverVersion, kex, methods });
        const stage = { where: whereOf(config), phase: "handshake" as const, offers: client.offers };
        return reject(connectionFailure(why ?? new Error("closed by the server"), stage));
      };
      const limit = (ms: number, missing: string) =>
        phases.begin(ms, () => {
          const seconds = Math.ceil(ms / 1000);
          done(new TundError("CONNECT_TIMEOUT", `${whereOf(config)}: ${missing} within ${seconds} s`));
        });
      limit(versionLimitMs(config, wire.tookMs), "no SSH version");
      client.onHandshake(() => limit(METHODS_MS, "no list of authentication methods"));
      client.onError(done);
      signal.addEventListener("abort", () => wire.destroy(), { once: true }); // one over a channel knows no signal
      wire.once("close", () => done(undefined));
      client.connect({
        user: config.user,
        algorithms,
        kex: { methods: offered, kems, owner: null },
        onVersion: () => limit(KEY_EXCHANGE_MS, "no end to key exchange"),
        hostVerdict: (key) => {
          shown.key = Buffer.from(key);
          return asks;
        },
        authHandler: (left) => asking(config.user, left, (methods) => (shown.methods = methods)),
      });
      client.onReady(() => {
        shown.methods = ["none"];
        done(undefined);
      });
    });
  } finally {
    phases.end();
    over.abort();
    wire.destroy();
  }
}
