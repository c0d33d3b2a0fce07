// OpenSSH's mux protocol as bytes: what its clients send (captured), what its master answers (mux.c), and everything else.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forwardToClose, forwardToOpen } from "../../daemon/mux/forward-request.ts";
import * as protocol from "../../daemon/mux/protocol.ts";
import { decode, MAX_PACKET, type WireForward } from "../../daemon/mux/protocol.ts";
import { sshString, uint32 } from "../../daemon/wire-format.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const packet = (...fields: readonly (number | string | Buffer)[]): Buffer =>
  sshString(
    Buffer.concat(
      fields.map((field) => {
        if (typeof field === "number") return uint32(field);
        return typeof field === "string" ? sshString(field) : field;
      }),
    ),
  );
const messageOf = (bytes: Buffer) => {
  const decoded = decode(bytes);
  return decoded.kind === "message" ? decoded.message : decoded;
};

describe("what clients send", () => {
  it("is read as captured from ssh 9.2 and 10.5", () => {
    const forward = (body: string) => {
      const bytes = hex(body);
      return messageOf(Buffer.concat([uint32(bytes.length), bytes]));
    };
    expect(forward("10000006 00000000 00000001 00000000 000004d2 00000001 61 00000005")).toEqual({
      type: "open-forward",
      id: 0,
      forward: { kind: 1, listen: "", listenPort: 1234, connect: "a", connectPort: 5 },
    });
    // -D *:99
    expect(
      forward("10000006 00000001 00000003 00000001 2a 00000063 00000005 736f636b73 00000000"),
    ).toMatchObject({ forward: { kind: 3, listen: "*", listenPort: 99, connect: "socks", connectPort: 0 } });
    // -L /x/y:/z
    expect(
      forward("10000007 00000001 00000001 00000004 2f782f79 fffffffe 00000002 2f7a fffffffe"),
    ).toMatchObject({ type: "close-forward", forward: { listen: "/x/y", connect: "/z" } });
    expect(messageOf(hex("0000000c 00000001 00000004 00000000"))).toMatchObject({ kind: "broken" });
    expect(messageOf(hex("00000008 00000001 00000004"))).toEqual({ type: "hello", extensions: [] });
    expect(messageOf(packet(1, 4, "info", "0", "x@y", "z"))).toEqual({
      type: "hello",
      extensions: ["info", "x@y"],
    });
    expect(messageOf(hex("00000008 10000004 00000000"))).toEqual({ type: "alive-check", id: 0 });
    expect(messageOf(hex("00000008 10000005 00000007"))).toEqual({ type: "terminate", id: 7 });
    expect(messageOf(hex("00000008 10000009 00000000"))).toEqual({ type: "stop-listening", id: 0 });
    expect(messageOf(hex("00000008 1000000f 00000000"))).toEqual({ type: "proxy", id: 0 });
    expect(messageOf(packet(0x20000001, 3, "channels"))).toEqual({ type: "info", id: 3, what: "channels" });
    expect(messageOf(packet(0x12345678, 9, "more"))).toEqual({ type: "unknown", id: 9, code: 0x12345678 });
  });

  it("is drained with the descriptors behind it: three of a session, two of a stdio forward", () => {
    const session = packet(0x10000002, 1, "", 0, 0, 0, 0, 0xffffffff, "xterm", "ls");
    const stdio = packet(0x10000008, 2, "", "db", 5432);
    for (const [bytes, type, count] of [
      [session, "new-session", 3],
      [stdio, "new-stdio-forward", 2],
    ] as const) {
      for (let sent = 0; sent < count; sent++)
        expect(decode(Buffer.concat([bytes, Buffer.alloc(sent)]))).toEqual({ kind: "partial" });
      expect(decode(Buffer.concat([bytes, Buffer.alloc(count), bytes]))).toMatchObject({
        kind: "message",
        message: { type },
        length: bytes.length + count,
      });
    }
  });

  it.each([
    ["a packet over 256 KiB", uint32(MAX_PACKET + 1)],
    ["an empty packet", uint32(0)],
    ["a request without an id", packet(0x10000004)],
    ["another version", packet(1, 3)],
    ["an extension without a value", packet(1, 4, "info")],
    ["a port over 65535", packet(0x10000006, 0, 1, "", 65_536, "a", 5)],
    ["a connect port just below the one of paths", packet(0x10000007, 0, 1, "", 1, "a", 0xfffffffd)],
    ["a NUL in a name", packet(0x10000006, 0, 1, "a\0b", 1, "a", 5)],
    ["a name that is no text", packet(0x10000006, 0, 1, sshString(Buffer.from([0xff])), 1, "a", 5)],
    ["a string longer than its packet", packet(0x10000006, 0, 1, uint32(0xffffffff))],
  ])("is refused where a master would drop the client: %s", (_, bytes) => {
    expect(decode(bytes)).toMatchObject({ kind: "broken" });
  });

  it("is one thing however it is cut, and never anything but an answer", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const decoded = decode(Buffer.from(bytes));
        expect(["partial", "broken", "message"]).toContain(decoded.kind);
        expect(decoded.kind === "message" ? decoded.length : 0).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
    const valid = packet(0x10000006, 0, 1, "::1", 1234, "a", 5);
    for (let cut = 0; cut < valid.length; cut++)
      expect(decode(valid.subarray(0, cut))).toEqual({ kind: "partial" });
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, value) => {
        const mutated = Buffer.from(valid);
        mutated[at] = value;
        expect(["partial", "broken", "message"]).toContain(decode(mutated).kind);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("what a master answers", () => {
  it("has OpenSSH's bytes", () => {
    expect(protocol.helloOf(["info"])).toEqual(packet(1, 4, "info", "0"));
    expect(protocol.ok(5)).toEqual(packet(0x80000001, 5));
    expect(protocol.failure(5, "no")).toEqual(packet(0x80000003, 5, "no"));
    expect(protocol.alive(0, 4711)).toEqual(packet(0x80000005, 0, 4711));
    expect(protocol.remotePort(1, 40_000)).toEqual(packet(0x80000007, 1, 40_000));
    expect(protocol.info(1, true, "text")).toEqual(packet(0x90000001, 1, 1, "text"));
    expect(protocol.info(1, false, "none")).toEqual(packet(0x90000001, 1, 0, "none"));
  });
});

describe("a forward on the wire", () => {
  const wire = (more: Partial<WireForward>): WireForward => ({
    kind: 1,
    listen: "",
    listenPort: 8080,
    connect: "db",
    connectPort: 80,
    ...more,
  });
  const path = protocol.STREAMLOCAL;

  it.each([
    [{}, "local", "8080:db:80"],
    [{ listen: "*" }, "local", "*:8080:db:80"],
    [{ connect: "::1" }, "local", "8080:[::1]:80"],
    [{ listen: "/run/a b", listenPort: path }, "local", "/run/a b:db:80"],
    [{ kind: 2, listenPort: 0 }, "remote", "0:db:80"],
    [{ kind: 2, connect: "socks", connectPort: 0 }, "remote", "8080"],
    [{ kind: 2, connect: "socks" }, "remote", "8080:socks:80"],
    [{ kind: 3, connect: "socks", connectPort: 0 }, "dynamic", "8080"],
    [{ kind: 2, listen: "r.sock/x", listenPort: path }, "remote", "r.sock/x:db:80"],
  ] as const)("%o is %s %s", (more, kind, spec) => {
    expect(forwardToOpen(wire(more))).toEqual({ kind, spec });
    expect(forwardToClose(wire(more))).toEqual({ kind, spec });
  });

  it("has paths that mean what they say, tokens or not", () => {
    const odd = wire({ listen: "/run/50%d", listenPort: path });
    expect(forwardToOpen(odd).spec).toBe("/run/50%%d:db:80");
    expect(forwardToClose(odd).spec).toBe("/run/50%d:db:80");
  });

  it.each([
    ["of no kind", { kind: 4 }, "no kind of forward"],
    ["SOCKS on a path", { kind: 3, listen: "/x", listenPort: path }, "dynamic forward on a Unix socket"],
    ["without a destination", { connect: "" }, "destination host is empty"],
    ["to port 0", { connectPort: 0 }, "must not be 0"],
    ["from port 0 here", { listenPort: 0 }, "must not be 0"],
    ["from an empty path", { listen: "", listenPort: path }, "a path is missing"],
    ["from a path that depends on where one is", { listen: "x.sock", listenPort: path }, "no absolute path"],
    ["to such a path here", { kind: 2, connect: "x.sock", connectPort: path }, "no absolute path"],
  ])("%s is refused", (_, more, why) => {
    expect(() => forwardToOpen(wire(more))).toThrow(why);
  });
});
