import { describe, expect, it } from "vitest";
import { nearest } from "../../cli/nearest.ts";
import { plain, plainJson } from "../../cli/plain.ts";
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
    expect(plain("a\r\n b\tc \n\n d\u001b[31m\u0007\u009b2J\u007f é")).toBe(
      String.raw`a b c d\x1b[31m\x07\x9b2J\x7f é`,
    );
  });

  it("is the same text after a round through JSON", () => {
    const text = '\u001b\u007f\u009b\n"é';
    expect(plainJson({ text })).not.toMatch(/[\u007f-\u009f]/);
    expect(JSON.parse(plainJson({ text }))).toEqual({ text });
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
