import { describe, expect, it } from "vitest";
import { nearest } from "../../cli/nearest.ts";
import { visible, visibleJson, visibleLine, visibleLines } from "../../shared/visible.ts";
import { table } from "../../cli/table.ts";
import { bytesText, spanText } from "../../cli/units.ts";

describe("amounts for people", () => {
  it.each([
    [0, "0"],
    [1023, "1023"],
    [1024, "1.0K"],
    [48_211, "47.1K"],
    [1_048_523, "1023.9K"],
    [1_048_575, "1.0M"],
    [5 * 1024 ** 3, "5.0G"],
    [1024 ** 5, "1.0P"],
  ])("%i bytes are %s", (bytes, text) => {
    expect(bytesText(bytes)).toBe(text);
  });

  it.each([
    [-1, "0s"],
    [59_999, "59s"],
    [60_000, "1m"],
    [3_599_999, "59m"],
    [3_600_000, "1h"],
    [86_399_999, "23h"],
    [86_400_000 * 40, "40d"],
  ])("%i ms are %s", (ms, text) => {
    expect(spanText(ms)).toBe(text);
  });
});

describe("the nearest word", () => {
  const words = ["forward", "list", "--json", "-L"];

  it.each([
    ["forwrad", "forward"],
    ["lst", "list"],
    ["list", "list"],
    ["lsit", "list"],
    ["--josn", "--json"],
    ["-X", undefined],
    ["ls", "list"],
    ["lists up", undefined],
    ["lisxyz", undefined],
    ["fw", undefined],
    ["backward", undefined],
    ["", undefined],
  ])("to '%s' is %s", (typed, word) => {
    expect(nearest(typed, words)).toBe(word);
  });
});

describe("text from elsewhere", () => {
  it("stays on one line and does not speak to the terminal", () => {
    expect(visibleLine("a\r\n b\tc \n\n d\u001b[31m\u0007\u009b2J\u007f é")).toBe(
      String.raw`a b c d\033[31m\007\302\2332J\177 é`,
    );
  });

  it("keeps its lines and tabs where it may have several, and nothing that moves the cursor back", () => {
    expect(visibleLines("a\tb\r\nc\rd\n\u001b[2Je")).toBe("a\tb\nc\\015d\n\\033[2Je");
  });

  it("shows what has no width or turns the writing round, and leaves every script and picture as it is", () => {
    expect(visible("a\u202eb\u200bc\u2066d\ufeffe\u00adf\u2028g")).toBe(
      String.raw`a\342\200\256b\342\200\213c\342\201\246d\357\273\277e\302\255f\342\200\250g`,
    );
    const printable = "naïve Ærø Ελλάδα Привет 日本語 한국어 العربية עברית \u2764\ufe0f \u{1f600} € C:\\dir";
    expect(visible(printable)).toBe(printable);
  });

  it("shows every character that is not seen or turns the writing round, in lines, cells and JSON alike", () => {
    const ranges = [
      [0x00, 0x1f],
      [0x7f, 0x9f],
      [0xad, 0xad],
      [0x61c, 0x61c],
      [0x115f, 0x1160],
      [0x180b, 0x180f],
      [0x200b, 0x200f],
      [0x2028, 0x202e],
      [0x2060, 0x206f],
      [0x3164, 0x3164],
      [0xd800, 0xdfff],
      [0xfe00, 0xfe0f],
      [0xfeff, 0xfeff],
      [0xfff9, 0xfffb],
      [0xe0000, 0xe0fff],
    ] as const;
    const all = ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, at) => from + at));
    for (const code of all) {
      const text = `a${String.fromCodePoint(code)}b`;
      const isAscii = (shown: string) =>
        expect({ code, shown }).toMatchObject({ shown: expect.stringMatching(/^[ -~]*$/) as string });
      isAscii(visible(text));
      isAscii(visibleLine(text));
      isAscii(visibleJson(text));
      expect(visible(text)).not.toBe(text);
      expect(JSON.parse(visibleJson(text))).toBe(text);
    }
    // A picture's own selector is part of it, and nothing else's.
    expect(visible("\u2764\ufe0f1\ufe0fdb\ufe0f")).toBe(
      String.raw`❤️1\357\270\217db\357\270\217`.replace("❤️", "\u2764\ufe0f"),
    );
  });

  it("is the same text after a round through JSON, in which nothing speaks to the terminal either", () => {
    const text = '\u001b\u007f\u009b\u202e\n"é\u{e0041}';
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    expect(visibleJson({ text })).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u{e0041}]/u);
    expect(JSON.parse(visibleJson({ text }))).toEqual({ text });
  });
});

describe("a table", () => {
  it("lines up, numbers to the right, with `-` for nothing and no blanks at the end", () => {
    const columns = [
      { title: "A", cell: (row: string[]) => row[0] ?? "" },
      { title: "NUM", right: true, cell: (row: string[]) => row[1] ?? "" },
      { title: "LAST", cell: (row: string[]) => row[2] ?? "" },
    ];
    expect(
      table(columns, [
        ["long one", "1", "x\ny"],
        ["", "12345", ""],
      ]),
    ).toEqual(["A           NUM  LAST", "long one      1  x y", "-         12345  -"]);
  });
});
