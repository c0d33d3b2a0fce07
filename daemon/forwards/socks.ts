// The bytes of SOCKS 4, 4a and 5 (RFC 1928), the server's side. Pure and total: any bytes, however they were cut, have an answer.
import { isIPv6 } from "node:net";

/** Where a client wants to go; a name is resolved at the far end. */
export interface ProxyDestination {
  host: string;
  port: number;
}

/** What the bytes so far come to. `length` is how many of them were used: the rest came early. */
export type Parsed<T> =
  | { kind: "more" }
  | { kind: "done"; value: T; length: number }
  | { kind: "refused"; reason: string; reply: Buffer };

export const SOCKS4 = 4;
export const SOCKS5 = 5;

const CONNECT = 1;
const NO_AUTHENTICATION = 0;

/** RFC 1928 section 6. */
export const socks5Codes = {
  generalFailure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  connectionRefused: 5,
  commandNotSupported: 7,
  addressTypeNotSupported: 8,
} as const;

const SOCKS4_GRANTED = 0x5a;
const SOCKS4_REJECTED = 0x5b;
const MAX_USER_ID = 255;

/** A SOCKS5 reply; the address that was bound is not known here, and no client needs it. */
export const socks5Reply = (code: number): Buffer => Buffer.from([SOCKS5, code, 0, 1, 0, 0, 0, 0, 0, 0]);

/** A SOCKS4 reply. */
export const socks4Reply = (isGranted: boolean): Buffer =>
  Buffer.from([0, isGranted ? SOCKS4_GRANTED : SOCKS4_REJECTED, 0, 0, 0, 0, 0, 0]);

/** That a client may go on without authentication. */
export const SOCKS5_WELCOME = Buffer.from([SOCKS5, NO_AUTHENTICATION]);

const more = { kind: "more" } as const;
const refused = (reason: string, reply: Buffer) => ({ kind: "refused", reason, reply }) as const;

/** A client's greeting: the methods of authentication that it knows (RFC 1928 section 3). */
export function parseSocks5Greeting(bytes: Buffer): Parsed<undefined> {
  const count = bytes[1];
  if (count === undefined || bytes.length < 2 + count) return more;
  if (!bytes.subarray(2, 2 + count).includes(NO_AUTHENTICATION))
    return refused("the client insists on SOCKS authentication", Buffer.from([SOCKS5, 0xff]));
  return { kind: "done", value: undefined, length: 2 + count };
}

/** A client's request (RFC 1928 section 4). */
export function parseSocks5Request(bytes: Buffer): Parsed<ProxyDestination> {
  const [version, command, , type, length] = bytes;
  if (version === undefined || command === undefined || type === undefined || length === undefined)
    return more;
  if (version !== SOCKS5) return refused("not a SOCKS5 request", socks5Reply(socks5Codes.generalFailure));
  const size = { 1: 4, 3: 1 + length, 4: 16 }[type];
  if (size === undefined)
    return refused(
      `SOCKS5 address type ${type} is not supported`,
      socks5Reply(socks5Codes.addressTypeNotSupported),
    );
  const end = 4 + size + 2;
  if (bytes.length < end) return more;
  if (command !== CONNECT)
    return refused(
      `SOCKS5 command ${command} is not supported`,
      socks5Reply(socks5Codes.commandNotSupported),
    );
  const host = addressText(type, bytes.subarray(4, 4 + size));
  const port = bytes.readUInt16BE(4 + size);
  const reason = wrongWith(host, port);
  if (reason !== undefined) return refused(reason, socks5Reply(socks5Codes.generalFailure));
  return { kind: "done", value: { host, port }, length: end };
}

/** A SOCKS 4 request, or a 4a one: the address 0.0.0.x (x not 0) says that a name follows. */
export function parseSocks4(bytes: Buffer): Parsed<ProxyDestination> {
  if (bytes.length < 9) return more;
  const userEnd = bytes.indexOf(0, 8);
  if (userEnd === -1) return bytes.length > 8 + MAX_USER_ID ? tooLong("user id") : more;
  const hasName = bytes.readUInt32BE(4) > 0 && bytes.readUInt32BE(4) < 256;
  const end = hasName ? bytes.indexOf(0, userEnd + 1) : userEnd;
  if (end === -1) return bytes.length > userEnd + 1 + MAX_USER_ID ? tooLong("host name") : more;
  if (bytes[1] !== CONNECT) return refused(`SOCKS4 command ${bytes[1]} is not supported`, socks4Reply(false));
  const host = hasName ? bytes.toString("latin1", userEnd + 1, end) : dotted(bytes.subarray(4, 8));
  const port = bytes.readUInt16BE(2);
  const reason = wrongWith(host, port);
  return reason === undefined
    ? { kind: "done", value: { host, port }, length: end + 1 }
    : refused(reason, socks4Reply(false));
}

const tooLong = (what: string) => refused(`the SOCKS4 ${what} has no end`, socks4Reply(false));

function addressText(type: number, bytes: Buffer): string {
  if (type === 1) return dotted(bytes);
  if (type === 3) return bytes.toString("latin1", 1);
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1); // in its short form (RFC 5952)
}

const dotted = (bytes: Buffer): string => [...bytes].join(".");

/** What is wrong with a destination that a client named, if anything is: it goes on to the server as it stands. */
export function wrongWith(host: string, port: number): string | undefined {
  if (port === 0) return "the destination port is 0";
  if (host === "" || host.length > 255) return "the destination has no host name";
  return isIPv6(host) || /^[\u0021-\u002e\u0030-\u0039\u003b-\u007e]+$/.test(host)
    ? undefined
    : "the destination's host name has characters that no name has";
}
