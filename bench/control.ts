// Connections that stay open, and over which one question is put after the other: tund's control socket, and ssh's mux socket.
import { connect } from "node:net";
import { HELLO, packet, rawClient } from "../test/support/mux.ts";

export interface Control {
  /** Gives the body of the answer. @throws Error when it is not 200 */
  call(method: string, path: string, body?: object): Promise<string>;
  close(): void;
}

const END_OF_HEADERS = "\r\n\r\n";

/**
 * Speaks to a daemon over one connection, one call at a time, in bare HTTP: node:http would take as long to ask as the
 * daemon to answer. Who opens it closes it.
 */
export function openControl(socketPath: string): Control {
  const socket = connect(socketPath);
  socket.setNoDelay(true).on("error", () => undefined); // whoever waits hears of the end
  let received = "";
  let arrived: () => void = () => undefined;
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
    arrived();
  });
  socket.once("close", () => arrived());
  const answer = async (): Promise<{ status: number; text: string }> => {
    for (;;) {
      const at = received.indexOf(END_OF_HEADERS);
      const [, status, length] =
        /^HTTP\/1\.1 (\d+)[^]*?\ncontent-length: (\d+)/i.exec(received.slice(0, Math.max(at, 0))) ?? [];
      const end = at + END_OF_HEADERS.length + Number(length);
      if (received.length >= end) {
        const text = Buffer.from(received.slice(at + END_OF_HEADERS.length, end), "latin1").toString();
        received = received.slice(end);
        return { status: Number(status), text };
      }
      if (socket.destroyed) throw new Error("the daemon closed the control connection");
      await new Promise<void>((resolve) => (arrived = resolve));
    }
  };
  return {
    call: async (method, path, body) => {
      const text = body === undefined ? "" : JSON.stringify(body);
      const type = body === undefined ? "" : "content-type: application/json\r\n";
      const length = `content-length: ${Buffer.byteLength(text)}`;
      socket.write(`${method} ${path} HTTP/1.1\r\nhost: tund\r\n${type}${length}${END_OF_HEADERS}${text}`);
      const answered = await answer();
      if (answered.status !== 200) throw new Error(`${method} ${path}: ${answered.status} ${answered.text}`);
      return answered.text;
    },
    close: () => socket.destroy(),
  };
}

const OPEN_FORWARD = 0x10000006;
const CLOSE_FORWARD = 0x10000007;
const OK = 0x80000001;
const LOCAL = 1;

export interface Mux {
  /** Sets a forward of 127.0.0.1:`port` up, and cancels it. @throws Error when it cannot be */
  forwardAndCancel(port: number, destination: number): Promise<void>;
  close(): void;
}

/** Speaks OpenSSH's mux protocol to a master over one connection. Who opens it closes it. */
export async function openMux(path: string): Promise<Mux> {
  const { socket, next } = await rawClient(path);
  socket.write(HELLO);
  await next();
  return {
    forwardAndCancel: async (port, destination) => {
      for (const verb of [OPEN_FORWARD, CLOSE_FORWARD]) {
        socket.write(packet(verb, 1, LOCAL, "127.0.0.1", port, "127.0.0.1", destination));
        const answer = await next();
        if (answer?.readUInt32BE() !== OK) throw new Error(`the mux socket refused: ${answer?.toString()}`);
      }
    },
    close: () => socket.destroy(),
  };
}
