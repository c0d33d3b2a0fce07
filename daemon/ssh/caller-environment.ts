// The environment of whoever asked for a host, for the programs that ssh_config names: as ssh, which hands its own on.
import { createHash } from "node:crypto";
import { entriesOf, isOwn, type PassedOn, passedOn } from "../../shared/caller-environment.ts";

// What tund's own stands in for where the caller has none: to find programs, and its own account (nss_wrapper).
const OWN_IF_NONE = new Set(["PATH", "LD_PRELOAD", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP"]);

/** Kept in memory alone: nothing of it is printed, logged, saved or serialised, since none of its values can be reached. */
export class CallerEnvironment {
  /** names of variables that were left out: there was too much of it */
  readonly leftOut: readonly string[];
  /** equal for equal ones; says nothing of what is in it */
  readonly key: string;
  readonly #variables: PassedOn["variables"];

  /** @param entries `NAME=VALUE` each, of which those that are tund's own affair do not count */
  constructor(entries: readonly string[]) {
    const { variables, leftOut } = passedOn(entriesOf(entries));
    this.leftOut = leftOut;
    this.#variables = variables;
    this.key = createHash("sha256").update(JSON.stringify(variables)).digest("base64url");
  }

  /** What a program is given: the caller's, and of tund's what is its own affair. */
  over(own: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
    const mine = Object.entries(own).filter(([name]) => isOwn(name) || OWN_IF_NONE.has(name));
    return { ...Object.fromEntries(mine), ...Object.fromEntries(this.#variables) };
  }
}
