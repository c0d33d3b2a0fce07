// A question to the daemon and its answer as bytes (RFC 9112): what tunctl needs of HTTP, since loading node:http takes longer
// than the exchange. A character is a byte here (latin1).
import { VERSION_HEADER } from "../shared/routes.ts";

export interface Question {
  method: string;
  path: string;
  /** what becomes the JSON that is sent, or undefined for none */
  body: unknown;
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

/** Writes a question. It is HTTP/1.0, since its answers are never chunked (6.1) and end their connection. */
export function requestOf({ method, path, body }: Question): Buffer {
  const start = `${method} ${path} HTTP/1.0\r\nhost: localhost\r\n`;
  if (body === undefined) return Buffer.from(`${start}\r\n`);
  const json = JSON.stringify(body);
  const length = Buffer.byteLength(json);
  return Buffer.from(`${start}content-type: application/json\r\ncontent-length: ${length}\r\n\r\n${json}`);
}

/** An answer that comes piece by piece. */
export class Answer {
  #bytes = "";
  #head: Head | undefined;

  /** Takes the next piece. Gives the answer once it is whole. @throws Error when it is no HTTP, or its header too long */
  take(piece: string): Reply | undefined {
    this.#bytes += piece;
    this.#head ??= headOf(this.#bytes);
    return this.#head !== undefined && this.#bytes.length >= this.#head.to
      ? this.#whole(this.#head)
      : undefined;
  }

  /** Gives the answer when its connection has ended. @throws Error with ECONNRESET when it is not whole */
  end(): Reply {
    if (this.#head?.to === Infinity) return this.#whole(this.#head);
    throw Object.assign(new Error("the answer is cut short"), { code: "ECONNRESET" });
  }

  #whole({ status, version, from, to }: Head): Reply {
    return { status, version, text: Buffer.from(this.#bytes.slice(from, to), "latin1").toString() };
  }
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
