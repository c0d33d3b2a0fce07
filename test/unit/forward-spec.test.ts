import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TundError } from "../../shared/errors.ts";
import {
  formatAddress,
  formatBind,
  formatDestination,
  formatForwardSpec,
  type ForwardKind,
  type ForwardSpec,
  parseForwardPattern,
  parseForwardSpec,
} from "../../shared/forward-spec.ts";

const services = (name: string): number | undefined => new Map([["http", 80]]).get(name);
const parse = (kind: ForwardKind, text: string) => parseForwardSpec(kind, text, services);

// Ends, as short as they can be told: a port (and address), or a path.
const port = (number: number, address: string | null = null) => ({ address, port: number });
const to = (host: string, number: number) => ({ host, port: number });
const path = (text: string) => ({ path: text });

describe("forward specifications that are accepted", () => {
  test.each<[ForwardKind[], string, ForwardSpec["bind"], ForwardSpec["destination"]]>([
    [["local", "remote"], "8080:db:5432", port(8080), to("db", 5432)],
    [["local", "remote"], "127.0.0.1:8080:db:5432", port(8080, "127.0.0.1"), to("db", 5432)],
    [["local", "remote"], "localhost:8080:db:5432", port(8080, "localhost"), to("db", 5432)],
    [["local", "remote"], "*:8080:db:5432", port(8080, "*"), to("db", 5432)],
    [["local", "remote"], ":8080:db:5432", port(8080, "*"), to("db", 5432)],
    [["local", "remote"], "[]:8080:db:5432", port(8080, "*"), to("db", 5432)],
    [["local", "remote"], "[::1]:8080:[2001:db8::1]:5432", port(8080, "::1"), to("2001:db8::1", 5432)],
    [["local", "remote"], "8080:[::1]:5432", port(8080), to("::1", 5432)],
    [["local", "remote"], "[8080]:[db]:[5432]", port(8080), to("db", 5432)],
    [["local", "remote"], String.raw`\:\:1:8080:\:\:1:5432`, port(8080, "::1"), to("::1", 5432)],
    [["local", "remote"], String.raw`8080:d\b:5432`, port(8080), to("db", 5432)],
    [["local", "remote"], String.raw`8080:d\/b:5432`, port(8080), to("d/b", 5432)],
    [["local", "remote"], "8080:a]b:5432", port(8080), to("a]b", 5432)],
    [["local", "remote"], "http:db:http", port(80), to("db", 80)],
    [["local", "remote"], "08080:db:0005432", port(8080), to("db", 5432)],
    [["local", "remote"], "65535:db:65535", port(65_535), to("db", 65_535)],
    [["local", "remote"], " \t8080:db:5432", port(8080), to("db", 5432)],
    [["local", "remote"], "8080:db:5432:", port(8080), to("db", 5432)],
    [["local", "remote"], "8080:/run/x.sock", port(8080), path("/run/x.sock")],
    [["local", "remote"], "8080:./x", port(8080), path("./x")],
    [["local", "remote"], "8080:x/", port(8080), path("x/")],
    [["local", "remote"], "8080:[/run/a:b]", port(8080), path("/run/a:b")],
    [["local", "remote"], String.raw`8080:/run/a\:b`, port(8080), path("/run/a:b")],
    [["local", "remote"], "8080:/run/a b", port(8080), path("/run/a b")],
    [["local", "remote"], "127.0.0.1:8080:/run/x", port(8080, "127.0.0.1"), path("/run/x")],
    [["local", "remote"], ":8080:/run/x", port(8080, "*"), path("/run/x")],
    [["local", "remote"], "/run/y:db:5432", path("/run/y"), to("db", 5432)],
    [["local", "remote"], "/run/y:/run/x", path("/run/y"), path("/run/x")],
    [["local", "remote"], "~/y:~/x", path("~/y"), path("~/x")],
    [["remote"], "0:db:5432", port(0), to("db", 5432)],
    [["remote"], "*:0:db:5432", port(0, "*"), to("db", 5432)],
    [["remote"], "0:/run/x", port(0), path("/run/x")],
    [["remote"], "0", port(0), null],
    [["remote", "dynamic"], "1080", port(1080), null],
    [["remote", "dynamic"], "1080:", port(1080), null],
    [["remote", "dynamic"], "127.0.0.1:1080", port(1080, "127.0.0.1"), null],
    [["remote", "dynamic"], "[::1]:1080", port(1080, "::1"), null],
    [["remote", "dynamic"], "*:1080", port(1080, "*"), null],
    [["remote", "dynamic"], ":1080", port(1080, "*"), null],
    [["remote", "dynamic"], "http", port(80), null],
    [["remote", "dynamic"], "/run/socks", path("/run/socks"), null],
    [["remote", "dynamic"], "1080/db", path("1080/db"), null],
  ])("%j %s", (kinds, text, bind, destination) => {
    for (const kind of kinds) expect(parse(kind, text)).toEqual({ kind, bind, destination });
  });
});

describe("forward specifications that are refused", () => {
  const all: ForwardKind[] = ["local", "remote", "dynamic"];
  test.each<[ForwardKind[], string, RegExp]>([
    [all, "", /it is empty/],
    [all, "   ", /it is empty/],
    [all, ":", /must have the form|the listen port ''/],
    [all, "a:1:b:2:c", /more than four fields/],
    [all, "::1:8080:db:5432", /more than four fields/],
    [all, "[8080", /has no '\]'/],
    [all, "[8080]x:db:5432", /must be followed by ':'/],
    [all, "8080\\", /ends with a backslash/],
    [["local"], "1080/db/5432", /must have the form/],
    [["local"], "8080", /must have the form/],
    [["local"], "127.0.0.1:8080", /must have the form/],
    [["local"], "/run/x", /must have the form/],
    [["local"], "8080:db", /must have the form/],
    [["local", "dynamic"], "0:db:5432", /must not be 0|must have the form/],
    [["local", "remote"], "8080:db:0", /destination port must not be 0/],
    [["local", "remote"], "8080:db:", /the destination port ''|must have the form|the listen port 'db'/],
    [["local", "remote"], "8080:db:nosuch", /destination port 'nosuch' is not a number/],
    [["local", "remote"], "8080:db:65536", /destination port '65536' is not a number from 0 to 65535/],
    [["local", "remote"], "8080:db:1e3", /is not a number/],
    [["local", "remote"], "8080:db:0x50", /is not a number/],
    [["local", "remote"], "8080:db:5432:/x", /the listen port 'db'/],
    [["local", "remote"], "65536:db:5432", /listen port '65536'/],
    [["local", "remote"], "-1:db:5432", /listen port '-1'/],
    [["local", "remote"], "99999999999999999999:db:5432", /listen port/],
    [["local", "remote"], "8080:/run/\0x", /no NUL/],
    [["local", "remote"], "8080:d\nb:5432", /no spaces or control characters/],
    [["dynamic"], "0", /must not be 0/],
    [["dynamic"], "8080:db:5432", /must have the form/],
    [["dynamic"], "b:8080:db:5432", /must have the form/],
    [["remote"], "nosuch", /listen port 'nosuch'/],
    [["remote", "dynamic"], "\u00A08080", /is not a number/],
  ])("%j %j", (kinds, text, reason) => {
    for (const kind of kinds) {
      expect(() => parse(kind, text)).toThrow(TundError);
      expect(() => parse(kind, text)).toThrow(reason);
      expect(() => parse(kind, text)).toThrow(`bad ${kind} forwarding specification '${text}'`);
    }
  });
});

test("hosts have up to 1024 bytes, paths up to 107", () => {
  const host = "h".repeat(1024);
  expect(parse("local", `8080:${host}:80`).destination).toEqual(to(host, 80));
  expect(() => parse("local", `8080:${host}h:80`)).toThrow("at most 1024 bytes");
  const longPath = `/${"p".repeat(106)}`;
  expect(parse("local", `8080:${longPath}`).destination).toEqual(path(longPath));
  expect(() => parse("local", `8080:${longPath}p`)).toThrow("at most 107 bytes");
  expect(() => parse("local", `8080:/${"é".repeat(54)}`)).toThrow("at most 107 bytes");
});

describe("what cancel takes", () => {
  test.each<[ForwardKind, string, ReturnType<typeof parseForwardPattern>]>([
    ["local", "8080", { kind: "local", bind: port(8080) }],
    ["local", "127.0.0.1:8080", { kind: "local", bind: port(8080, "127.0.0.1") }],
    ["local", "[::1]:8080", { kind: "local", bind: port(8080, "::1") }],
    ["local", ":8080", { kind: "local", bind: port(8080, "*") }],
    ["local", "/run/x", { kind: "local", bind: path("/run/x") }],
    ["remote", "0", { kind: "remote", bind: port(0) }],
    ["remote", "8080", { kind: "remote", bind: port(8080) }],
    ["dynamic", "1080", { kind: "dynamic", bind: port(1080) }],
    ["local", "8080:db:5432", { kind: "local", bind: port(8080), destination: to("db", 5432) }],
    ["local", "8080:/run/x", { kind: "local", bind: port(8080), destination: path("/run/x") }],
  ])("%s %s", (kind, text, pattern) => {
    expect(parseForwardPattern(kind, text, services)).toEqual(pattern);
  });

  test.each<[ForwardKind, string]>([
    ["local", ""],
    ["local", "db"],
    ["local", "8080:db"],
    ["dynamic", "8080:db:5432"],
    ["dynamic", "8080:/run/x"],
  ])("refuses %s %j", (kind, text) => {
    expect(() => parseForwardPattern(kind, text, services)).toThrow(TundError);
  });
});

const awkward = fc.constantFrom("a", "b.c", ":", "[", "]", "\\", "/", "*", " ", "%", "$", "é", "::1", "0");
const text = fc.array(awkward, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(""));
const hostName = text.filter((name) => !name.includes(" "));
const aPath = text.map((rest) => ({ path: rest.includes("/") ? rest : `${rest}/` }));
const aPort = fc.integer({ min: 1, max: 65_535 });
const anAddress = fc.record({ address: fc.option(hostName), port: aPort });
const aHost = fc.record({ host: hostName, port: aPort });

const aSpec: fc.Arbitrary<ForwardSpec> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("local" as const, "remote" as const),
    bind: fc.oneof(anAddress, aPath),
    destination: fc.oneof(aHost, aPath),
  }),
  fc.record({
    kind: fc.constantFrom("remote" as const, "dynamic" as const),
    bind: fc.oneof(anAddress, aPath),
    destination: fc.constant(null),
  }),
);

describe("forward specifications, whatever is in them", () => {
  test("are read back as they were written (property)", () => {
    fc.assert(
      fc.property(aSpec, (spec) => {
        expect(parseForwardSpec(spec.kind, formatForwardSpec(spec))).toEqual(spec);
        expect(parseForwardPattern(spec.kind, formatBind(spec.bind))).toEqual({
          kind: spec.kind,
          bind: spec.bind,
        });
      }),
      { numRuns: 2000 },
    );
  });

  test("are understood, or refused with an INVALID_REQUEST that quotes them; what was read is written and read again (property)", () => {
    const kinds = fc.constantFrom<ForwardKind>("local", "remote", "dynamic");
    const pieces = fc.constantFrom(":", ":", ":", "[", "]", "\\", "/", "8080", "0", "h", " ", "*", "\0", "é");
    const jumble = fc.array(pieces, { maxLength: 12 }).map((list) => list.join(""));
    fc.assert(
      fc.property(kinds, fc.oneof(jumble, fc.string({ unit: "binary" })), (kind, given) => {
        for (const parser of [parseForwardSpec, parseForwardPattern]) {
          const read = attempt(() => parser(kind, given));
          const wellRefused =
            read instanceof TundError &&
            read.code === "INVALID_REQUEST" &&
            read.message.includes(`'${given}'`);
          const destination =
            "destination" in (read as object) ? (read as ForwardSpec).destination : undefined;
          const written = (): string =>
            destination === undefined
              ? formatBind((read as ForwardSpec).bind)
              : formatForwardSpec(read as ForwardSpec);
          expect(wellRefused || attempt(() => parser(kind, written()))).toEqual(wellRefused || read);
        }
      }),
      { numRuns: 5000 },
    );
  });
});

/** What it gives, or what it throws. */
function attempt(task: () => unknown): unknown {
  try {
    return task();
  } catch (error) {
    return error;
  }
}

describe("forwards, written for people", () => {
  test("addresses can be told from ports", () => {
    expect(formatAddress("127.0.0.1", 80)).toBe("127.0.0.1:80");
    expect(formatAddress("::1", 80)).toBe("[::1]:80");
  });

  test("binds and destinations", () => {
    expect(formatBind(port(80))).toBe("80");
    expect(formatBind(port(80, "::1"))).toBe("[::1]:80");
    expect(formatBind(path("/run/x"))).toBe("/run/x");
    expect(formatDestination(null)).toBe("socks");
    expect(formatDestination(to("::1", 80))).toBe("[::1]:80");
    expect(formatDestination(path("/run/a:b"))).toBe("[/run/a:b]");
  });
});
