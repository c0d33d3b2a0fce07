// Notices that links may have died without a word: the machine slept, or its addresses or default routes changed.
import { closeSync, openSync, readSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { Clock, Timer } from "../shared/clock.ts";

const LOOK_EVERY_MS = 3000;
// More than a clock is corrected by while it runs.
const JUMP_MS = 2000;

export interface NetworkWatchOptions {
  clock: Clock;
  /** a text that differs when the network does; it may throw (there are no descriptors left), which tells nothing */
  look: () => string;
  onChange: (what: string) => void;
}

/** Looks every 3 s; `stop` ends it. */
export function watchNetwork({ clock, look, onChange }: NetworkWatchOptions): { stop: () => void } {
  let timer: Timer;
  // Half a look, or none, is not a change.
  const lookOr = (before: string) => {
    try {
      return look();
    } catch {
      return before;
    }
  };
  let network = lookOr("");
  // While the machine sleeps one clock stands still and the other does not.
  let apart = clock.now() - clock.monotonic();
  const tick = () => {
    const [networkNow, apartNow] = [lookOr(network), clock.now() - clock.monotonic()];
    const jumped = Math.abs(apartNow - apart);
    if (jumped > JUMP_MS) onChange(`the clock jumped by ${Math.round(jumped / 1000)} s`);
    else if (networkNow !== network) onChange("the machine's addresses or routes changed");
    [network, apart] = [networkNow, apartNow];
    timer = clock.after(LOOK_EVERY_MS, tick);
  };
  timer = clock.after(LOOK_EVERY_MS, tick);
  return { stop: () => timer.cancel() };
}

/**
 * The machine's addresses and default routes as one text. Link-local addresses come and go with every container.
 * @throws Error when the system does not say, as without a free descriptor
 */
export function describeNetwork(): string {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, all = []]) =>
    all
      .filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
      .map(({ address }) => `${name} ${address}`),
  );
  return [...addresses.sort(), ...defaultRoutes()].join("\n");
}

// proc(5); elsewhere there are no such files, and addresses have to do.
function defaultRoutes(): string[] {
  const v4 = linesOf("/proc/net/route")
    .map((line) => line.split("\t"))
    .filter(([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000")
    .map(([name, , gateway]) => `${name} default ${gateway}`);
  const v6 = linesOf("/proc/net/ipv6_route")
    .map((line) => line.split(/\s+/))
    .filter(([destination = "", length = "", , , , , , , , name]) => {
      const isDefault = !/[^0]/.test(destination + length);
      return isDefault && name !== "lo";
    })
    .map(([, , , , gateway, , , , , name]) => `${name} default ${gateway}`);
  return [...v4, ...v6].sort();
}

const MOST_BYTES = 64 * 1024; // a router's table is long, and its default routes are among the first

function linesOf(path: string): string[] {
  try {
    const file = openSync(path, "r");
    try {
      const buffer = Buffer.alloc(MOST_BYTES);
      return buffer
        .toString("latin1", 0, readSync(file, buffer, 0, MOST_BYTES, 0))
        .split("\n")
        .filter((line) => line !== "");
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
