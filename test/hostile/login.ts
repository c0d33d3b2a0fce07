// Attempts to log in to a hostile server with the daemon's own client, in this process.
import type { Caller } from "../../daemon/ssh/caller.ts";
import { connect } from "../../daemon/ssh/connect.ts";
import { Doors } from "../../daemon/ssh/doors.ts";
import { DialQueue } from "../../daemon/ssh/dial-queue.ts";
import { KeyRing } from "../../daemon/ssh/key-ring.ts";
import { Outstanding } from "../../daemon/ssh/outstanding.ts";
import { WindowBudget } from "../../daemon/ssh/receive-window.ts";
import { systemClock } from "../../shared/clock.ts";
import { TundError } from "../../shared/errors.ts";
import { makeOutside } from "../support/outside.ts";
import { makeResolver } from "../support/resolver.ts";
import { silent } from "../support/silent-log.ts";
import type { HostileServer } from "./server.ts";

/** Somebody who answers everything at once. */
const person: Caller = {
  isPresent: true,
  agents: [],
  ask: async () => "secret",
  remembers: () => false,
  forget: () => undefined,
  keepKey: () => false,
  keptKey: () => undefined,
  tell: () => undefined,
};

const SETTLED_MS = 20_000;

/**
 * Logs in, and out again: gives null when it did, or why it could not.
 * @throws Error when the attempt has no end within 20 s, and whatever is no TundError
 */
export type LogIn = () => Promise<TundError | null>;

/** How to log in to a server. */
export async function loginsTo({ sshConfig }: HostileServer, host = "hostile"): Promise<LogIn> {
  const outside = makeOutside();
  const who = { home: "/nonexistent", uid: 0, username: "me", env: {} };
  const resolver = makeResolver({
    person: who,
    configFile: sshConfig,
    controlPath: null,
    files: outside.files,
  });
  const config = await resolver.resolve(host);
  const settings = {
    directory: "/nonexistent",
    askpass: "/nonexistent",
    parser: "/nonexistent",
    env: {},
    clock: systemClock,
  };
  const keyRing = new KeyRing({ ...settings, ...outside, log: silent });
  const fixed = {
    ...outside,
    config,
    caller: person,
    keyRing,
    clock: systemClock,
    log: silent,
    isAesFast: true,
    turns: new DialQueue({ most: 32, reserved: 8, slowMs: 1000, slices: outside.slices, clock: systemClock }),
    doors: new Doors(systemClock),
    isAwaited: () => true,
    around: <T>(run: () => T): T => run(),
  };
  const attempt = async (signal: AbortSignal): Promise<TundError | null> => {
    try {
      const connection = await connect({
        ...fixed,
        windowBudget: new WindowBudget(0),
        outstanding: new Outstanding(),
        signal,
      });
      connection.close();
      await connection.closed;
      return null;
    } catch (error) {
      if (error instanceof TundError) return error;
      throw error;
    }
  };
  return async () => {
    const over = new AbortController();
    const late = setTimeout(() => over.abort(), SETTLED_MS);
    const failure = await attempt(over.signal);
    clearTimeout(late);
    if (over.signal.aborted) throw new Error(`no end to an attempt within ${SETTLED_MS / 1000} s`);
    return failure;
  };
}
