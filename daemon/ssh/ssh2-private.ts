// The one file that touches what ssh2 does not document. Pinned to the version that it was read in, checked at start-up.
import type { Client, ClientChannel } from "ssh2";
import { bindingAvailable } from "ssh2/lib/protocol/crypto.js";
import {
  SUPPORTED_CIPHER,
  SUPPORTED_KEX,
  SUPPORTED_MAC,
  SUPPORTED_SERVER_HOST_KEY,
} from "ssh2/lib/protocol/constants.js";
import Protocol from "ssh2/lib/protocol/Protocol.js";
import packageJson from "ssh2/package.json" with { type: "json" };

const SSH2_VERSION = "1.17.0";

interface PrivateClient {
  _callbacks: ((failed?: unknown) => void)[];
  _protocol: { ping(): void };
  _remoteVer: string | undefined;
}

interface PrivateChannel {
  outgoing: { packetSize: number; id: number };
}

const inside = (client: Client): PrivateClient => client as unknown as PrivateClient;

/** Checks that the installed ssh2 is the one whose inside this file knows. @throws Error that says what differs */
export function assertSsh2(): void {
  if (packageJson.version !== SSH2_VERSION)
    throw new Error(`tund needs ssh2 ${SSH2_VERSION} exactly, and ${packageJson.version} is installed`);
  if (typeof Protocol.prototype.ping !== "function") throw new Error("ssh2's Protocol has no ping()");
}

/** Every algorithm that ssh2 can do, in ssh's spelling: it throws on any other name. */
export const supported = {
  ciphers: SUPPORTED_CIPHER,
  kex: SUPPORTED_KEX,
  macs: SUPPORTED_MAC,
  hostKeys: SUPPORTED_SERVER_HOST_KEY,
};

/** Whether ssh2's compiled ciphers are in use; without them the CPU cost about doubles. */
export const nativeCrypto = (): boolean => bindingAvailable;

/**
 * Sends keepalive@openssh.com with want_reply. Any answer, a refusal too, calls `onReply`: the peer lives
 * (RFC 4254 section 4: replies to global requests come in order, so the queue is ssh2's own).
 */
export function ping(client: Client, onReply: (failed?: unknown) => void): void {
  const { _callbacks, _protocol } = inside(client);
  _callbacks.push(onReply);
  _protocol.ping();
}

/** The server's software version (RFC 4253 section 4.2), once it has been read. */
export const serverVersion = (client: Client): string | null => inside(client)._remoteVer ?? null;

/** A packet size of 0 would make ssh2 loop for ever on the first write. */
export const hasUsablePacketSize = (channel: ClientChannel): boolean =>
  (channel as unknown as PrivateChannel).outgoing.packetSize > 0;
