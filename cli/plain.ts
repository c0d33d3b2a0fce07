// Text from elsewhere (a server's reason, a host's name) must neither break a line nor speak to the terminal.

const hex = (char: string): string => (char.codePointAt(0) ?? 0).toString(16).padStart(2, "0");

/** Makes text safe to print on one line: line breaks and tabs become a space, other control characters `\xNN`. */
export const plain = (text: string): string =>
  text
    .replaceAll(/[ \t]*[\r\n\t]+[ \t]*/g, " ")
    .replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (char) => String.raw`\x${hex(char)}`);

/** JSON, indented unless told otherwise, in which DEL and the C1 controls are escaped too (JSON.stringify lets them through). */
export const plainJson = (value: unknown, indent = 2): string =>
  JSON.stringify(value, undefined, indent).replaceAll(
    /[\u007f-\u009f]/g,
    (char) => String.raw`\u00${hex(char)}`,
  );
