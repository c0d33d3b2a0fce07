// What ssh2 does not document of its channels (RFC 4254 section 5), and flow control in place of its own.
import type { Duplex } from "node:stream";
import type { Loans } from "../loans.ts";
import { SMALLEST_PACKET_SIZE } from "./inbound.ts";
import type { Protocol } from "./internals.ts";

/** A channel: what it carries both ways. Its end (CHANNEL_EOF) is the stream's, and it has to be read to be told of its close. */
export interface ChannelStream extends Duplex {
  /** Sends CHANNEL_CLOSE, unless that has been done. */
  close(): void;
}

interface PrivateChannel {
  incoming: { id: number; state: string };
  outgoing: { packetSize: number; id: number; state: string };
  stderr: Duplex;
}

const insideOf = (channel: ChannelStream): PrivateChannel => channel as unknown as PrivateChannel;

/** Why a channel is of no use: packets of a size of 0 would make ssh2 loop for ever on the first write. Null when it is. */
export function faultOfChannel(channel: ChannelStream): string | null {
  const { packetSize } = insideOf(channel).outgoing;
  return packetSize >= SMALLEST_PACKET_SIZE
    ? null
    : `the server takes packets of ${packetSize} bytes at most, and ${SMALLEST_PACKET_SIZE} are the least`;
}

/**
 * Node destroys every stream that has ended, and ssh2 ends it then once more, for which Node makes an error with a stack: a
 * twentieth of what a connection costs.
 */
export function endOnce(channel: ChannelStream): void {
  // ssh2 emits none of its own; unheard, one of Node's would end the daemon.
  channel.on("error", () => channel.close());
  insideOf(channel).stderr.on("error", () => channel.close());
  channel.destroy = () => {
    if (!channel.writableEnded) channel.end();
    channel.close();
    return channel;
  };
}

/** What the peer may send on a channel before it is granted more: for all channels, and in bytes. */
export const FIRST_WINDOW = 256 * 1024;

/** Our number of a channel. */
export const incomingId = (channel: ChannelStream): number => insideOf(channel).incoming.id;

/** Whether the peer has neither ended (CHANNEL_EOF) nor closed it: data after that would be an exception in ssh2. */
export const mayReceive = (channel: ChannelStream): boolean => insideOf(channel).incoming.state === "open";

/** Lets the peer send so many bytes more (RFC 4254 section 5.2), unless the channel is being closed. */
export function grantWindow(protocol: Protocol, channel: ChannelStream, bytes: number): void {
  const { id, state } = insideOf(channel).outgoing;
  if (state === "open" || state === "eof") protocol.channelWindowAdjust(id, bytes);
}

/** What becomes of data, by our number of the channel. */
export type Receiver = Record<"data" | "extendedData", (id: number, data: Buffer) => void>;

/**
 * Takes flow control of what is received away from ssh2: it knows one size of window, counts data as read before it is,
 * and drops without a word what comes when its count is 0.
 */
export function takeReceiving(protocol: Protocol, to: Receiver): void {
  for (const method of ["directTcpip", "openssh_directStreamLocal"] as const) {
    const open = protocol[method].bind(protocol);
    protocol[method] = (id, _window, packetSize, where) => open(id, FIRST_WINDOW, packetSize, where);
  }
  const confirm = protocol.channelOpenConfirm.bind(protocol);
  protocol.channelOpenConfirm = (remote, local, _window, packetSize) =>
    confirm(remote, local, FIRST_WINDOW, packetSize);
  protocol._handlers.CHANNEL_DATA = (_protocol, id, data) => to.data(id, data);
  protocol._handlers.CHANNEL_EXTENDED_DATA = (_protocol, id, data) => to.extendedData(id, data);
}

/** Tells `loans` of every packet, and which of them nobody keeps. To be called behind takeReceiving(). */
export function countLoans(protocol: Protocol, loans: Loans): void {
  const onPacket = protocol._onPacket.bind(protocol);
  protocol._onPacket = () => {
    loans.packet();
    onPacket();
  };
  const handlers = protocol._handlers;
  const { CHANNEL_DATA: onData, CHANNEL_WINDOW_ADJUST: onWindowAdjust } = handlers;
  handlers.CHANNEL_DATA = (self, id, data) => {
    loans.passOn(data);
    onData(self, id, data);
  };
  // Uploads hear of the window all the time.
  handlers.CHANNEL_WINDOW_ADJUST = (self, id, bytes) => {
    loans.giveBack();
    onWindowAdjust(self, id, bytes);
  };
}
