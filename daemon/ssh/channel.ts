// What the rooms above see of a channel.
import type { ClientChannel } from "ssh2";
import type { Link } from "./link.ts";

/** A channel of RFC 4254 section 5, and the link whose queue its writer must respect. */
export interface Channel {
  stream: ClientChannel;
  link: Link;
}

/** Who connected to where a forward accepts. */
export interface Originator {
  address: string;
  port: number;
}
