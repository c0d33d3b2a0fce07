// What of a saved state can stand beside the rest: only a hand that edited the file can have made what cannot.
import { messageOf } from "../shared/errors.ts";
import { parseForwardSpec } from "../shared/forward-spec.ts";
import type { SavedForward, SavedHost } from "./saved-state.ts";

/** What was left out, and why. */
export interface LeftOut {
  host: string;
  /** null: the host with all its forwards */
  forward: string | null;
  why: string;
}

// What the API takes for a name, and every id that was ever made.
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const MOST_PORT = 65_535;

/**
 * Leaves out what has the name of another, and what could not be asked for either: a forward alone where that will do.
 * Pure; the others keep their order.
 */
export function sift(saved: readonly SavedHost[]): { hosts: SavedHost[]; leftOut: LeftOut[] } {
  const hosts = new Map<string, SavedHost>();
  const leftOut: LeftOut[] = [];
  const taken = new Set<string>();
  for (const one of saved) {
    const { host } = one;
    const why = hosts.has(host) ? "there is another host of that name" : hostFault(host);
    if (why !== undefined) {
      leftOut.push({ host, forward: null, why });
      continue;
    }
    const forwards = one.forwards.filter((forward) => {
      const fault = forwardFault(forward, taken);
      if (fault === undefined) for (const word of wordsOf(forward)) taken.add(word);
      else leftOut.push({ host, forward: forward.id, why: fault });
      return fault === undefined;
    });
    hosts.set(host, { ...one, forwards });
  }
  return { hosts: [...hosts.values()], leftOut };
}

const hostFault = (host: string): string | undefined =>
  host === "" || host.includes("\0") || host.length > 1024 ? "that is no host's name" : undefined;

const wordsOf = ({ id, name }: SavedForward): string[] => (name === null ? [id] : [id, name]);

function forwardFault(forward: SavedForward, taken: ReadonlySet<string>): string | undefined {
  const { kind, spec, idleSeconds, allocatedPort } = forward;
  const words = wordsOf(forward);
  const odd = words.find((word) => !ID.test(word));
  if (odd !== undefined) return `${JSON.stringify(odd)} can be no forward's id or name`;
  const double = words.find((word) => taken.has(word));
  if (double !== undefined) return `there is another forward ${double}`;
  if (idleSeconds !== null && idleSeconds < 1) return `idleSeconds is ${idleSeconds}`;
  if (allocatedPort !== null && (allocatedPort < 0 || allocatedPort > MOST_PORT))
    return `allocatedPort is ${allocatedPort}`;
  try {
    parseForwardSpec(kind, spec);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
