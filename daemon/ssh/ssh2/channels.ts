// What ssh2 does not document of its channels; internals.ts has the rest, and checks at start-up that all of it is there.
import type { Loans } from "../loans.ts";
import type { Client, ClientChannel } from "ssh2";

type OpenChannel = (id: number, window: number, packetSize: number, to: unknown) => void;
type OnWindowAdjust = (protocol: unknown, id: number, bytes: number) => void;
type OnData = (protocol: unknown, id: number, data: Buffer) => void;

interface PrivateProtocol {
  directTcpip: OpenChannel;
  openssh_directStreamLocal: OpenChannel;
  channelOpenConfirm(remote: number, local: number, window: number, packetSize: number): void;
  channelWindowAdjust(remote: number, bytes: number): void;
  _handlers: { CHANNEL_DATA: OnData; CHANNEL_EXTENDED_DATA: OnData; CHANNEL_WINDOW_ADJUST: OnWindowAdjust };
  _onPacket(): void;
  _decipher: { _packet: Uint8Array | null };
}

interface PrivateChannel {
  incoming: { id: number; state: string };
  outgoing: { packetSize: number; id: number; state: string };
}

const protocolOf = (client: Client): PrivateProtocol =>
  (client as unknown as { _protocol: PrivateProtocol })._protocol;

const insideOf = (channel: ClientChannel): PrivateChannel => channel as unknown as PrivateChannel;

/** A packet size of 0 would make ssh2 loop for ever on the first write. */
export const hasUsablePacketSize = (channel: ClientChannel): boolean =>
  insideOf(channel).outgoing.packetSize > 0;

/**
 * Node destroys every stream that has ended, and ssh2 ends it then once more, for which Node makes an error with a stack: a
 * twentieth of what a connection costs.
 */
export function endOnce(channel: ClientChannel): void {
  channel.destroy = () => {
    if (!channel.writableEnded) channel.end();
    channel.close();
    return channel;
  };
}

/** What the peer may send on a channel before it is granted more: for all channels, and in bytes. */
export const FIRST_WINDOW = 256 * 1024;

/** Our number of a channel. */
export const incomingId = (channel: ClientChannel): number => insideOf(channel).incoming.id;

/** Whether the peer has neither ended (CHANNEL_EOF) nor closed it: data after that would be an exception in ssh2. */
export const mayReceive = (channel: ClientChannel): boolean => insideOf(channel).incoming.state === "open";

/** Lets the peer send so many bytes more (RFC 4254 section 5.2), unless the channel is being closed. */
export function grantWindow(client: Client, channel: ClientChannel, bytes: number): void {
  const { id, state } = insideOf(channel).outgoing;
  if (state === "open" || state === "eof") protocolOf(client).channelWindowAdjust(id, bytes);
}

/**
 * Takes flow control of what is received away from ssh2: it knows one size of window, counts data as read before it is,
 * and drops without a word what comes when its count is 0.
 */
export function takeReceiving(
  client: Client,
  to: Record<"data" | "extendedData", (id: number, data: Buffer) => void>,
): void {
  const protocol = protocolOf(client);
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

/** Whether a packet whose end has not come is kept where it was read. */
export const keepsPartOf = (client: Client, memory: ArrayBufferLike): boolean =>
  protocolOf(client)._decipher._packet?.buffer === memory;

/** Tells `loans` of every packet, and which of them nobody keeps. To be called behind takeReceiving(). */
export function countLoans(client: Client, loans: Loans): void {
  const protocol = protocolOf(client);
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
