// A forward's spec once nothing in it is left open: what its user wrote, and what it means on this host.
import type { Destination, ForwardKind } from "../../shared/forward-spec.ts";

export type SettledBind = { address: string; port: number } | { path: string };

export interface SettledSpec {
  kind: ForwardKind;
  /** as its user wrote it, in ssh's spelling */
  text: string;
  /** with the address that was meant where none was given */
  bind: SettledBind;
  destination: Destination;
}
