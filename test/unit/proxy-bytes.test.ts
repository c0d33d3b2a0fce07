import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseHttpConnect } from "../../daemon/forwards/http-connect.ts";
import { httpReplyOf, socks5CodeOf } from "../../daemon/forwards/proxy-reply.ts";
import {
  type Parsed,
  parseSocks4,
  parseSocks5Greeting,
  parseSocks5Request,
} from "../../daemon/forwards/socks.ts";
import { type ErrorCode, TundError } from "../../shared/errors.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const name = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]).toString("hex");
const ascii = (text: string) => Buffer.from(text).toString("hex");

describe("a SOCKS5 request", () => {
  it.each([
    ["05 01 00 01 7f000001 0050", "127.0.0.1", 80],
    [`05 01 00 03 ${name("db.internal")} 1538`, "db.internal", 5432],
    ["05 01 00 04 00000000000000000000000000000001 0016", "::1", 22],
    ["05 01 00 04 20010db8000000000000000000000001 ffff", "2001:db8::1", 65_535],
    ["05 01 ff 01 0a000001 0001", "10.0.0.1", 1],
  ])("%s is for %s:%i", (bytes, host, port) => {
    const request = hex(bytes);
    expect(parseSocks5Request(request)).toEqual({
      kind: "done",
      value: { host, port },
      length: request.length,
    });
    expect(parseSocks5Request(Buffer.concat([request, Buffer.from("early")]))).toMatchObject({
      length: request.length,
    });
    for (let cut = 0; cut < request.length; cut++)
      expect(parseSocks5Request(request.subarray(0, cut))).toEqual({ kind: "more" });
  });

  it.each([
    ["05 02 00 01 7f000001 0050", 7, "BIND"],
    ["05 03 00 01 7f000001 0050", 7, "UDP ASSOCIATE"],
    ["05 01 00 02 7f000001 0050", 8, "an unknown address type"],
    ["05 01 00 01 7f000001 0000", 1, "port 0"],
    ["05 01 00 03 00 0050", 1, "no name"],
    [`05 01 00 03 ${name("a b")} 0050`, 1, "a space in the name"],
    [`05 01 00 03 ${name("a\nb")} 0050`, 1, "a line break in the name"],
    [`05 01 00 03 ${name("a:b")} 0050`, 1, "a colon in the name"],
    ["04 01 00 01 7f000001 0050", 1, "another version"],
  ])("%s is refused with code %i: %s", (bytes, code) => {
    expect(parseSocks5Request(hex(bytes))).toMatchObject({
      kind: "refused",
      reply: hex(`05 0${code} 00 01 00000000 0000`),
    });
  });

  it("is greeted without authentication, or not at all", () => {
    expect(parseSocks5Greeting(hex("05 02 02 00 ff"))).toEqual({ kind: "done", value: undefined, length: 4 });
    expect(parseSocks5Greeting(hex("05 03 00 01"))).toEqual({ kind: "more" });
    expect(parseSocks5Greeting(hex("05 01 02"))).toMatchObject({ kind: "refused", reply: hex("05 ff") });
    expect(parseSocks5Greeting(hex("05 00"))).toMatchObject({ kind: "refused", reply: hex("05 ff") });
  });
});

describe("a SOCKS4 request", () => {
  it.each([
    ["04 01 0050 7f000001 00", "127.0.0.1", 80],
    [`04 01 0050 7f000001 ${ascii("me")} 00`, "127.0.0.1", 80],
    [`04 01 1538 00000001 ${ascii("me")} 00 ${ascii("db.internal")} 00`, "db.internal", 5432],
    ["04 01 0050 00000000 00", "0.0.0.0", 80],
  ])("%s is for %s:%i", (bytes, host, port) => {
    const request = hex(bytes);
    expect(parseSocks4(request)).toEqual({ kind: "done", value: { host, port }, length: request.length });
    for (let cut = 0; cut < request.length; cut++)
      expect(parseSocks4(request.subarray(0, cut))).toEqual({ kind: "more" });
  });

  it.each([
    ["04 02 0050 7f000001 00", "BIND"],
    ["04 01 0000 7f000001 00", "port 0"],
    ["04 01 0050 00000001 00 00", "an empty name"],
    [`04 01 0050 7f000001 ${"61".repeat(300)}`, "an endless user id"],
    [`04 01 0050 00000001 00 ${"61".repeat(300)}`, "an endless name"],
  ])("%s is refused: %s", (bytes) => {
    expect(parseSocks4(hex(bytes))).toMatchObject({ kind: "refused", reply: hex("00 5b 000000000000") });
  });
});

describe("an HTTP CONNECT request", () => {
  it.each([
    ["CONNECT db.internal:5432 HTTP/1.1\r\n\r\n", "db.internal", 5432],
    ["CONNECT [::1]:22 HTTP/1.0\r\nHost: x\r\nUser-Agent: y\r\n\r\n", "::1", 22],
  ])("%j is for %s:%i", (text, host, port) => {
    expect(parseHttpConnect(Buffer.from(`${text}early`))).toEqual({
      kind: "done",
      value: { host, port },
      length: text.length,
    });
    for (let cut = 0; cut < text.length; cut++)
      expect(parseHttpConnect(Buffer.from(text.slice(0, cut)))).toEqual({ kind: "more" });
  });

  it.each([
    ["GET / HTTP/1.1\r\n\r\n", "405"],
    ["CONNECT db HTTP/1.1\r\n\r\n", "400"],
    ["CONNECT :80 HTTP/1.1\r\n\r\n", "400"],
    ["CONNECT a:0 HTTP/1.1\r\n\r\n", "400"],
    ["CONNECT a:65536 HTTP/1.1\r\n\r\n", "400"],
    ["CONNECT a:1 HTTP/2\r\n\r\n", "400"],
    ["CONNECT  a:1 HTTP/1.1\r\n\r\n", "400"],
    [`CONNECT a:1 HTTP/1.1\r\nX: ${"y".repeat(17_000)}`, "400"],
  ])("%j is refused with %s", (text, status) => {
    const parsed = parseHttpConnect(Buffer.from(text));
    expect(parsed.kind).toBe("refused");
    expect(parsed.kind === "refused" && parsed.reply.toString()).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} [^]*Connection: close\r\n\r\n.+\n$`),
    );
  });
});

describe("the parsers", () => {
  const parsers: Record<string, (bytes: Buffer) => Parsed<unknown>> = {
    parseSocks4,
    parseSocks5Greeting,
    parseSocks5Request,
    parseHttpConnect,
  };

  it.each(Object.keys(parsers))("%s has an answer to any bytes, within what it was given", (which) => {
    const start = fc.constantFrom([], [5], [5, 1, 0], [5, 1, 0, 3], [4, 1], [0x43, 0x4f]);
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 400 }), (head, tail) => {
        const bytes = Buffer.from([...head, ...tail]);
        const parsed = parsers[which]?.(bytes);
        expect(["more", "done", "refused"]).toContain(parsed?.kind);
        expect(parsed?.kind === "done" ? parsed.length : 0).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

describe("a failure is told", () => {
  it.each([
    ["CHANNEL_PROHIBITED", "administratively prohibited: open failed", 2, "403"],
    ["CHANNEL_CONNECT_FAILED", "connect failed: Connection refused", 5, "502"],
    ["CHANNEL_CONNECT_FAILED", "connect failed: Network is unreachable", 3, "502"],
    ["CHANNEL_CONNECT_FAILED", "connect failed: No route to host", 4, "502"],
    ["CHANNEL_CONNECT_FAILED", "connect failed: Name or service not known", 4, "502"],
    ["CHANNEL_CONNECT_FAILED", "connect failed: Connection timed out", 4, "504"],
    ["CHANNEL_CONNECT_FAILED", "connect failed: open failed", 1, "502"],
    ["HOST_UNREACHABLE", "connect failed: a:1: connection refused", 5, "502"],
    ["HOST_UNREACHABLE", "connect failed: a:1: cannot resolve the name", 4, "502"],
    ["CONNECT_TIMEOUT", "connect failed: a:1 did not answer within 30 s", 4, "504"],
    ["CONNECTION_LOST", "the master of db is waiting", 1, "502"],
  ] as [ErrorCode, string, number, string][])(
    "%s '%s' as SOCKS5 %i and HTTP %s",
    (code, message, socks, status) => {
      const failure = new TundError(code, message);
      expect(socks5CodeOf(failure)).toBe(socks);
      expect(httpReplyOf(failure).toString()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    },
  );
});
