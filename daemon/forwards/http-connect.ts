// HTTP CONNECT (RFC 9110 section 9.3.6), the server's side. Pure and total.
import { type Parsed, type ProxyDestination, wrongWith } from "./socks.ts";

const MAX_HEAD = 16 * 1024;
const END = Buffer.from("\r\n\r\n");

/** That the bytes from here on are the channel's. */
export const HTTP_ESTABLISHED = Buffer.from("HTTP/1.1 200 Connection established\r\n\r\n");

/** A reply that ends the connection, and says why in its body. */
export function httpRefusal(status: string, why: string, more = ""): Buffer {
  const body = `${why}\n`;
  return Buffer.from(
    `HTTP/1.1 ${status}\r\n${more}Content-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Whether bytes can be the start of an HTTP request: a method of capital letters. */
export const looksLikeHttp = (first: number): boolean => first >= 0x41 && first <= 0x5a;

/** A request's head: its first line counts, its header fields do not. */
export function parseHttpConnect(bytes: Buffer): Parsed<ProxyDestination> {
  const end = bytes.indexOf(END);
  if (end === -1) return bytes.length > MAX_HEAD ? malformed("its head has no end") : { kind: "more" };
  const line = bytes.toString("latin1", 0, bytes.indexOf("\r\n"));
  const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(line) ?? [];
  if (method === undefined || target === undefined) return malformed("it is no HTTP/1 request");
  if (method !== "CONNECT")
    return {
      kind: "refused",
      reason: `HTTP ${method} is not supported`,
      reply: httpRefusal(
        "405 Method Not Allowed",
        "this is a SOCKS and HTTP CONNECT proxy",
        "Allow: CONNECT\r\n",
      ),
    };
  const [, v6, name, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(target) ?? [];
  const host = v6 ?? name ?? "";
  const port = Number(digits ?? 0);
  const wrong = port > 65_535 ? "the destination port is over 65535" : wrongWith(host, port);
  if (wrong !== undefined) return malformed(wrong);
  return { kind: "done", value: { host, port }, length: end + END.length };
}

const malformed = (why: string): Parsed<ProxyDestination> => ({
  kind: "refused",
  reason: `not an HTTP CONNECT request: ${why}`,
  reply: httpRefusal("400 Bad Request", why),
});
