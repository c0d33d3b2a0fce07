import { describe, expect, it } from "vitest";
import { collides, isSame, select, type Selectable, settle } from "../../daemon/masters/selection.ts";
import { type ForwardKind, parseForwardPattern, parseForwardSpec } from "../../shared/forward-spec.ts";

const context = { gatewayPorts: false, tokens: { "%": "%", h: "db.example.com", r: "me" } };
const settled = (kind: ForwardKind, text: string, gatewayPorts = false) =>
  settle(parseForwardSpec(kind, text), { ...context, gatewayPorts });
const local = (text: string) => settled("local", text);

const standing = (
  kind: ForwardKind,
  text: string,
  id: string,
  allocatedPort: number | null = null,
): Selectable => ({
  id,
  name: null,
  spec: settled(kind, text),
  allocatedPort,
});

const forwards = [
  standing("local", "8080:a:80", "id0"),
  standing("local", "127.0.0.1:9090:b:90", "id1"),
  standing("local", "*:9090:b:90", "id2"),
  standing("local", "*:7070:/run/x.sock", "id3"),
  standing("local", "6060:c:60", "id4"),
  standing("local", "127.0.0.1:6060:c:60", "id5"),
  standing("dynamic", "1080", "id6"),
  standing("remote", "8080:a:80", "id7"),
  standing("remote", "0:a:80", "id8", 40_001),
  standing("remote", "0", "id9", 40_002),
  standing("local", "/run/here.sock:a:80", "id10"),
  standing("remote", "/run/there.sock:/run/here.sock", "id11"),
];
const find = (kind: ForwardKind, pattern: string) =>
  select(forwards, parseForwardPattern(kind, pattern), "db").id;

describe("a pattern names", () => {
  it.each([
    ["local", "8080", "id0"],
    ["local", "localhost:8080", "id0"],
    ["local", "8080:a:80", "id0"],
    ["local", "127.0.0.1:9090", "id1"],
    ["local", "*:9090:b:90", "id2"],
    ["local", ":9090", "id2"],
    ["local", "7070", "id3"],
    ["local", "*:7070:/run/x.sock", "id3"],
    ["local", "6060", "id4"],
    ["local", "127.0.0.1:6060", "id5"],
    ["local", "/run/here.sock", "id10"],
    ["dynamic", "1080", "id6"],
    ["remote", "8080", "id7"],
    ["remote", "40001", "id8"],
    ["remote", "0:a:80", "id8"],
    ["remote", "40002", "id9"],
    ["remote", "/run/there.sock", "id11"],
    ["remote", "/run/there.sock:/run/here.sock", "id11"],
  ] as const)("-%s %s → %s", (kind, pattern, id) => {
    expect(find(kind, pattern)).toBe(id);
  });

  it.each([
    ["local", "8081"],
    ["local", "8080:a:81"],
    ["local", "8080:/run/x.sock"],
    ["local", "127.0.0.1:8080"],
    ["local", "1080"],
    ["local", "40001"],
    ["dynamic", "8080"],
    ["remote", "1080"],
    ["remote", "/run/here.sock"],
  ] as const)("nothing: -%s %s", (kind, pattern) => {
    expect(() => find(kind, pattern)).toThrow(expect.objectContaining({ code: "NOT_FOUND" }) as Error);
  });

  it("too much: several on one port, none on localhost", () => {
    expect(() => find("local", "9090")).toThrow(/could be any of id1 .* id2/);
    expect(() => find("remote", "0")).toThrow(/could be any of id8 .* id9/);
  });
});

describe("a settled spec", () => {
  it("without a bind address is on loopback, or, if we listen, on the wildcard under GatewayPorts", () => {
    expect(local("1:a:2").bind).toEqual({ address: "localhost", port: 1 });
    expect(settled("local", "1:a:2", true).bind).toEqual({ address: "*", port: 1 });
    expect(settled("dynamic", "1", true).bind).toEqual({ address: "*", port: 1 });
    expect(settled("remote", "1:a:2", true).bind).toEqual({ address: "localhost", port: 1 });
    expect(settled("local", "127.0.0.1:1:a:2", true).bind).toEqual({ address: "127.0.0.1", port: 1 });
  });

  it("has the %-tokens of its paths expanded, and keeps what its user wrote", () => {
    expect(settled("local", "/run/%h:/far/%r%%")).toEqual({
      kind: "local",
      text: "/run/%h:/far/%r%%",
      bind: { path: "/run/db.example.com" },
      destination: { path: "/far/me%" },
    });
    expect(() => settled("local", "/run/%Z:a:1")).toThrow("the token %Z is not known");
    expect(local("1:%h:2").destination).toEqual({ host: "%h", port: 2 });
  });

  it("is the same as another only with the same kind, bind and destination", () => {
    const one = local("8080:a:80");
    expect(isSame(one, local("localhost:8080:a:80"))).toBe(true);
    for (const other of ["8080:a:81", "8080:/a", "*:8080:a:80", "8081:a:80"])
      expect(isSame(one, local(other))).toBe(false);
    expect(isSame(one, settled("remote", "8080:a:80"))).toBe(false);
    expect(isSame(settled("remote", "9"), settled("remote", "9"))).toBe(true);
    expect(isSame(settled("remote", "9"), settled("remote", "9:a:1"))).toBe(false);
  });

  it("collides with what accepts at the same point of the same side", () => {
    expect(collides(local("8080:a:80"), local("8080:b:80"))).toBe(true);
    expect(collides(local("8080:a:80"), settled("dynamic", "8080"))).toBe(true);
    expect(collides(local("8080:a:80"), settled("remote", "8080:a:80"))).toBe(false);
    expect(collides(local("/a/b:x:1"), local("/a/b:y:1"))).toBe(true);
    expect(collides(settled("remote", "0:a:1"), settled("remote", "0:b:1"))).toBe(false);
  });
});
