// What a master that has its link is followed by, beside those who wait for it.
import { openWhenReady } from "./configured.ts";
import type { House } from "./house.ts";
import type { Master } from "./master.ts";

/** A master has its link. @param configured hosts that are given the forwards of their ssh_config, and kept */
export function readied(master: Master, configured: ReadonlySet<string>, house: House): void {
  house.desired.loggedIn(master);
  openWhenReady(master, configured, house);
}
