// One question to the daemon and its answer, by node:net alone: loading node:http takes as long as all the rest of it.
import { connect } from "node:net";
import { VERSION_HEADER } from "../shared/routes.ts";

export interface Outgoing {
  method: string;
  path: string;
  /** what becomes the JSON that is sent, or undefined for none */
  body: unknown;
  signal: AbortSignal | undefined;
}

/** An answer of the daemon, whole. */
export interface Reply {
  status: number;
  version: string | undefined;
  text: string;
}

/** What stands before the body. */
interface Head {
  status: number;
  version: string | undefined;
  /** where the body begins, and where it ends; Infinity for an end with the connection's */
  from: number;
  to: number;
}

const MOST_HEAD = 16_384; // bytes, as node:http

/**
 * Asks, on a connection of its own.
 * @throws Error of the system; with ECONNRESET for an answer that is cut short, and without a code for one that is no HTTP
 */
export function exchange(socketPath: string, { method, path, body, signal }: Outgoing): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath, ...(signal && { signal }) });
    let bytes = "";
    let head: Head | undefined;
    const end = (isOver: boolean): void => {
      if (head === undefined || !(isOver || bytes.length >= head.to)) return;
      const { status, version, from, to } = head;
      resolve({ status, version, text: Buffer.from(bytes.slice(from, to), "latin1").toString() });
      socket.unref(); // it ends with the daemon's end, which is not worth waiting for
    };
    socket.setEncoding("latin1"); // a character is a byte
    socket.on("data", (chunk: string) => {
      bytes += chunk;
      try {
        head ??= headOf(bytes);
      } catch (error) {
        socket.destroy(error as Error);
      }
      end(false);
    });
    socket.on("end", () => {
      end(head?.to === Infinity);
      reject(Object.assign(new Error("the answer is cut short"), { code: "ECONNRESET" }));
    });
    socket.on("error", reject);
    socket.write(requestOf(method, path, body));
  });
}

// HTTP/1.0, since its answers are never chunked (RFC 9112, 6.1) and end their connection.
function requestOf(method: string, path: string, body: unknown): string {
  const start = `${method} ${path} HTTP/1.0\r\nhost: localhost\r\n`;
  if (body === undefined) return `${start}\r\n`;
  const json = JSON.stringify(body);
  return `${start}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`;
}

/** Reads the head of an answer; undefined while it is not whole. @throws Error when it is no HTTP, or too long */
function headOf(bytes: string): Head | undefined {
  if (!"HTTP/1.".startsWith(bytes.slice(0, 7))) throw new Error("the answer is no HTTP");
  const end = bytes.indexOf("\r\n\r\n");
  if (end > MOST_HEAD || (end === -1 && bytes.length > MOST_HEAD))
    throw new Error(`the answer's header has more than ${MOST_HEAD} bytes`);
  if (end === -1) return undefined;
  const [first = "", ...lines] = bytes.slice(0, end).split("\r\n");
  const [, status] = /^HTTP\/1\.[01] ([2-5][0-9]{2})( |$)/.exec(first) ?? [];
  const fields = lines.map(fieldOf);
  const headers = new Map(fields);
  const length = headers.get("content-length");
  const isTwofold = fields.some(([name, value]) => name === "content-length" && value !== length);
  const isLength = !isTwofold && /^[0-9]{1,15}$/.test(length ?? "0");
  if (status === undefined || headers.has("transfer-encoding") || !isLength)
    throw new Error("the answer is no HTTP");
  const from = end + 4;
  const to = length === undefined ? Infinity : from + Number(length);
  return { status: Number(status), version: headers.get(VERSION_HEADER), from, to };
}

function fieldOf(line: string): [string, string] {
  const [, name, value] = /^([!#$%&'*+.^`|~\w-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new Error("the answer is no HTTP");
  return [name.toLowerCase(), value];
}
