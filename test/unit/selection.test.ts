import { describe, expect, it } from "vitest";
import type { LocalForward } from "../../daemon/forwards/local.ts";
import { isSame, select, settle } from "../../daemon/masters/selection.ts";
import { parseForwardPattern, parseForwardSpec } from "../../shared/forward-spec.ts";

// select() looks at these fields alone.
const standing = (spec: string, index: number) =>
  ({ id: `id${index}`, ...settle(parseForwardSpec("local", spec), false) }) as unknown as LocalForward;

const forwards = [
  "8080:a:80",
  "127.0.0.1:9090:b:90",
  "*:9090:b:90",
  "*:7070:/run/x.sock",
  "6060:c:60",
  "127.0.0.1:6060:c:60",
].map(standing);
const find = (pattern: string) => select(forwards, parseForwardPattern("local", pattern), "db").id;

describe("a pattern names", () => {
  it.each([
    ["8080", "id0"],
    ["localhost:8080", "id0"],
    ["8080:a:80", "id0"],
    ["127.0.0.1:9090", "id1"],
    ["*:9090:b:90", "id2"],
    [":9090", "id2"],
    ["7070", "id3"],
    ["*:7070:/run/x.sock", "id3"],
    ["6060", "id4"],
    ["127.0.0.1:6060", "id5"],
  ])("%s → %s", (pattern, id) => {
    expect(find(pattern)).toBe(id);
  });

  it.each(["8081", "8080:a:81", "8080:/run/x.sock", "127.0.0.1:8080", "*:8080"])("nothing: %s", (pattern) => {
    expect(() => find(pattern)).toThrow(expect.objectContaining({ code: "NOT_FOUND" }) as Error);
  });

  it("too much: several on one port, none on localhost", () => {
    expect(() => find("9090")).toThrow(/could be any of id1 .* id2/);
  });

  it("no forward of another kind", () => {
    expect(() => select(forwards, parseForwardPattern("dynamic", "8080"), "db")).toThrow(
      "no dynamic forward 8080 on db",
    );
  });
});

describe("a settled spec", () => {
  it("without a bind address is on loopback, or on the wildcard under GatewayPorts", () => {
    expect(settle(parseForwardSpec("local", "1:a:2"), false).bind.address).toBe("localhost");
    expect(settle(parseForwardSpec("local", "1:a:2"), true).bind.address).toBe("*");
    expect(settle(parseForwardSpec("local", "127.0.0.1:1:a:2"), true).bind.address).toBe("127.0.0.1");
  });

  it("is the same as another only with the same bind and destination", () => {
    const wanted = (spec: string) => settle(parseForwardSpec("local", spec), false);
    const [forward] = forwards as [LocalForward];
    expect(isSame(forward, wanted("8080:a:80"))).toBe(true);
    expect(isSame(forward, wanted("localhost:8080:a:80"))).toBe(true);
    expect(isSame(forward, wanted("8080:a:81"))).toBe(false);
    expect(isSame(forward, wanted("8080:/a"))).toBe(false);
    expect(isSame(forward, wanted("*:8080:a:80"))).toBe(false);
  });

  it("refuses what is not built yet", () => {
    expect(() => settle(parseForwardSpec("remote", "1:a:2"), false)).toThrow(
      "remote forwards are not supported yet",
    );
    expect(() => settle(parseForwardSpec("local", "/a:b:1"), false)).toThrow(
      "listening on a Unix socket is not supported yet",
    );
  });
});
