// Mux sockets as their clients see them: the real ssh, and bytes that no ssh would send.
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { sshString, uint32 } from "../../daemon/wire-format.ts";
import { type Outcome, run } from "./run.ts";

/** What scripts can see of an outcome; tund's own reasons are lines of their own. */
export const seen = ({ code, stdout, stderr }: Outcome) => ({
  code,
  stdout,
  stderr: stderr
    .replaceAll(/pid=\d+/g, "pid=N")
    .split("\r\n")
    .filter((line) => !line.startsWith("tund: ")),
});

/** Has the real ssh say something to whoever answers there: `at(path, "forward", "-L", "1:a:1")`. */
export const at = (path: string, ...args: string[]): Promise<Outcome> =>
  run("ssh", ["-F", "none", "-S", path, "-O", ...args, "x"]);

/** The process that a check names. */
export const pidAt = async (path: string): Promise<number> =>
  Number(/pid=(\d+)/.exec((await at(path, "check")).stderr)?.[1]);

/** A packet of the protocol: its length, then numbers as uint32 and texts as strings. */
export const packet = (...fields: readonly (number | string)[]): Buffer =>
  sshString(
    Buffer.concat(fields.map((field) => (typeof field === "number" ? uint32(field) : sshString(field)))),
  );

export const HELLO = packet(1, 4);

export interface RawClient {
  socket: Socket;
  /** Waits for the next packet, without its length; null when the connection was closed instead. */
  next: () => Promise<Buffer | null>;
}

/** Connects, and says nothing yet. */
export async function rawClient(path: string): Promise<RawClient> {
  const socket = connect(path);
  socket.on("error", () => undefined); // what becomes of it is seen in `next`
  await once(socket, "connect");
  let received = Buffer.alloc(0);
  let isClosed = false;
  let wake: () => void = () => undefined;
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  socket.on("close", () => {
    isClosed = true;
    wake();
  });
  const next = async (): Promise<Buffer | null> => {
    for (;;) {
      const length = received.length < 4 ? Infinity : 4 + received.readUInt32BE();
      if (received.length >= length) {
        const whole = received.subarray(4, length);
        received = received.subarray(length);
        return whole;
      }
      if (isClosed) return null;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  return { socket, next };
}
