// Much of the same, as fast as it is taken.
import type { Peer } from "./peer.ts";

/** In bytes, and in milliseconds that a peer may take none before it counts as one that has stopped reading. */
export interface Limits {
  bytes: number;
  patienceMs?: number;
  /** enough has been sent */
  until?: () => boolean;
}

/** Sends what `make` makes until so many bytes went out, the connection is over, or nobody reads it. Gives the bytes. */
export async function flood(
  peer: Peer,
  make: (count: number) => Buffer,
  { bytes, patienceMs = 1000, until = () => false }: Limits,
): Promise<number> {
  const { socket } = peer;
  let sent = 0;
  for (let count = 0; sent < bytes && socket.writable && !until(); count++) {
    const packet = peer.seal({ payload: make(count) });
    sent += packet.length;
    if (!socket.write(packet) && !(await drained(peer, patienceMs))) break;
  }
  return sent;
}

function drained({ socket }: Peer, patienceMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), patienceMs);
    const settle = (isDrained: boolean) => () => {
      clearTimeout(timer);
      resolve(isDrained);
    };
    socket.once("drain", settle(true)).once("close", settle(false));
  });
}

/** A promise, and what settles it. */
export function settled(): { promise: Promise<void>; settle: () => void } {
  let settle: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => (settle = resolve));
  return { promise, settle };
}
