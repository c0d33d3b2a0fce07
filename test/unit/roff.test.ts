import { describe, expect, it } from "vitest";
import { commands, filled, literal, plainProse, roffOf, usage } from "../../scripts/roff.ts";

describe("roff", () => {
  it("never takes text for a request, nor a minus for a hyphen", () => {
    expect(literal([".TH x", "'x", String.raw`a\nb`, "~^`-it's"])).toEqual([
      ".PP",
      ".RS 4",
      ".nf",
      String.raw`\&.TH x`,
      String.raw`\(aqx`,
      String.raw`a\enb`,
      String.raw`\(ti\(ha\(ga\-it\(aqs`,
      ".fi",
      ".RE",
    ]);
    expect(filled(`${"x".repeat(77)} .TH 'x`)).toEqual(["x".repeat(77), String.raw`\&.TH 'x`]);
    expect(plainProse("well-known: -R 0, 'a b', tund's")).toBe(
      String.raw`well-known: \-R 0, \fBa b\fR, tund's`,
    );
  });

  it("marks what is typed and what stands for something else", () => {
    expect(usage("(-L SPEC | --no-wait) host:port")).toBe(
      String.raw`(\fB\-L\fR \fISPEC\fR | \fB\-\-no\-wait\fR) host:port`,
    );
    expect(roffOf("# A-B\n\n`x-y` of **ssh**(1), _z_\n\n- `t`: what\n  it is", {})).toEqual([
      String.raw`.SH "A\-B"`,
      String.raw`\fBx\-y\fR of \fBssh\fR(1), \fIz\fR`,
      ".TP",
      String.raw`\fBt\fR`,
      "what it is",
    ]);
  });

  it("continues a long command before an option, and never within quotes", () => {
    const [, , , first, second] = commands([`tunctl forward ${"-L 8080:intranet:80 ".repeat(3)}db`]);
    expect([first, second]).toEqual([
      String.raw`tunctl forward \-L 8080:intranet:80 \-L 8080:intranet:80 \e`,
      String.raw`    \-L 8080:intranet:80 db`,
    ]);
    const quoted = `tunctl events '${"a ".repeat(40)}'`;
    expect(commands([quoted])).toHaveLength(7);
    expect(commands([quoted])[4]).toBe(String.raw`    \(aq${"a ".repeat(40)}\(aq`);
  });

  it("misses no part, and takes no item without a term", () => {
    expect(roffOf("{{p}}", { p: [".BR x"] })).toEqual([".BR x"]);
    expect(() => roffOf("{{q}}", {})).toThrow("there is no part 'q'");
    expect(() => roffOf("- no term", {})).toThrow("an item needs a term");
  });
});
