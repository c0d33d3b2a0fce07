// What the rooms above see of a channel.
import type { Link } from "./link.ts";
import type { ChannelStream } from "./ssh2/channels.ts";

/** A channel of RFC 4254 section 5, and the link whose queue its writer must respect. */
export interface Channel {
  stream: ChannelStream;
  link: Link;
}

/** Who connected to where a forward accepts. */
export interface Originator {
  address: string;
  port: number;
}
