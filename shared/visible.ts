// Text from elsewhere, made harmless for a terminal: what would not be seen as it is (vis(3) with VIS_OCTAL, as ssh has it).

// Printable ASCII, which is nearly all there is: the next expression takes a millisecond to compile.
const ORDINARY = /^[\u0020-\u007e]*$/;
// Control characters (C0, DEL, C1), formatting ones (bidirectional overrides, of no width), lone surrogates, what Unicode
// has not assigned, line separators, and what is not to be shown; but for the variation selector of a picture.
const UNSEEN =
  /(?!(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{DI}]/gu;

const octal = (char: string): string =>
  Array.from(Buffer.from(char), (byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");

/** Makes what cannot be seen visible: each of its UTF-8 bytes as `\NNN`, in octal. What is printable stays as it is. */
export const visible = (text: string): string =>
  ORDINARY.test(text) ? text : text.replaceAll(UNSEEN, octal);

/** As `visible`, in text that may have several lines: newlines and tabs stay, and a CR before a newline goes. */
export const visibleLines = (text: string): string =>
  ORDINARY.test(text)
    ? text
    : text
        .replaceAll("\r\n", "\n")
        .split(/([\n\t])/)
        .map((part) => (part === "\n" || part === "\t" ? part : visible(part)))
        .join("");

/** Makes text one line: line breaks and tabs become a space, and the rest visible. */
export const visibleLine = (text: string): string =>
  ORDINARY.test(text) ? text : visible(text.replaceAll(/[ \t]*[\r\n\t]+[ \t]*/g, " "));

/** JSON in which nothing but printable characters stands: JSON.stringify escapes no more than it has to. */
export const visibleJson = (value: unknown, indent = 2): string =>
  visibleInJson(JSON.stringify(value, undefined, indent));

/** The same JSON, with what cannot be seen escaped: it can only stand in strings. */
export const visibleInJson = (json: string): string =>
  json.replaceAll(/[^\n\u0020-\u007e]+/g, (text) =>
    text.replaceAll(UNSEEN, (char) =>
      Array.from({ length: char.length }, (_, at) => unicode(char.charCodeAt(at))).join(""),
    ),
  );

const unicode = (unit: number): string => `\\u${unit.toString(16).padStart(4, "0")}`;
