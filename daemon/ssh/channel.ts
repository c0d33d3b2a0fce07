// What the rooms above see of a channel.
import type { Carried } from "./channel-timeouts.ts";
import type { Link } from "./link.ts";
import type { ChannelStream } from "./ssh2/channels.ts";

/** A channel of RFC 4254 section 5, and the link whose queue its writer must respect. */
export interface Channel {
  stream: ChannelStream;
  link: Link;
  /** to be called with what it is joined to, where ChannelTimeout limits how long it may be idle */
  watch?: ((carried: Carried) => void) | undefined;
}

/** Who connected to where a forward accepts. */
export interface Originator {
  address: string;
  port: number;
}
