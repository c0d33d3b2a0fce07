// man(7) from a little Markdown: headings, paragraphs, lists whose items begin with a term, fenced blocks, `code`, **bold**
// and _italics_. A line `{{name}}` takes a part that was written elsewhere.

const WIDTH = 78; // of the source's lines
const COMMAND_WIDTH = 66; // of a command's, so that it fits a terminal of 80

const special: Record<string, string> = {
  "\\": String.raw`\e`,
  "~": String.raw`\(ti`,
  "^": String.raw`\(ha`,
  "`": String.raw`\(ga`,
};

const escaped = (text: string): string => text.replaceAll(/[\\~^`]/g, (char) => special[char] ?? char);

/** Text of which every character is meant: a hyphen is a minus sign, an apostrophe stands upright. */
const exact = (text: string): string =>
  escaped(text)
    .replaceAll("-", String.raw`\-`)
    .replaceAll("'", String.raw`\(aq`);

// A hyphen joins two letters; everything else is an option, a number, or a dash.
const prose = (text: string): string =>
  escaped(text).replaceAll(/(?<![A-Za-z])-|-(?![A-Za-z])/g, String.raw`\-`);

/** What is typed as it stands, in bold. */
export const bold = (text: string): string => String.raw`\fB${exact(text)}\fR`;

/** What stands for something else, in italics. */
const italic = (text: string): string => String.raw`\fI${exact(text)}\fR`;

/** A usage: options in bold, what stands for something else in italics. */
export const usage = (text: string): string =>
  text
    .split(/(?<![\w-])(--?[A-Za-z0-9][\w-]*)|\b([A-Z][A-Z_]+)\b/)
    .map((part, index) => [exact, bold, italic][index % 3]?.(part ?? "") ?? "")
    .map((part) => part.replace(/^\\f[BI]\\fR$/, ""))
    .join("");

/** A help text's prose: commands stand in quotes there. */
export const plainProse = (text: string): string =>
  text
    .split(/(?<=^|[\s(])'([^'\n]+)'(?=[\s.,;:)]|$)/)
    .map((part, index) => (index % 2 === 1 ? bold(part) : prose(part)))
    .join("");

const inline = (markdown: string): string =>
  markdown
    .split(/`([^`]+)`|\*\*([^*]+)\*\*|(?<!\w)_([^_]+)_(?!\w)/)
    .map((part, index) => [prose, bold, bold, italic][index % 4]?.(part ?? "") ?? "")
    .map((part) => part.replace(/^\\f[BI]\\fR$/, ""))
    .join("");

/** Fills lines. A line must not begin with what would be a request. */
export function filled(text: string): string[] {
  const lines = [""];
  for (const word of text.split(/\s+/).filter((one) => one !== "")) {
    const last = lines.at(-1) ?? "";
    if (last !== "" && last.length + word.length >= WIDTH) lines.push(guarded(word));
    else lines[lines.length - 1] = last === "" ? guarded(word) : `${last} ${word}`;
  }
  return lines;
}

const guarded = (line: string): string => (/^[.']/.test(line) ? String.raw`\&${line}` : line);

export const paragraph = (roff: string): string[] => [".PP", ...filled(roff)];

/** A term and what it means, both in roff. */
export const definition = (term: string, text: string): string[] => [".TP", term, ...filled(text)];

/** Lines as they are. */
export const literal = (lines: readonly string[]): string[] => [
  ".PP",
  ".RS 4",
  ".nf",
  ...lines.map((line) => guarded(exact(line))),
  ".fi",
  ".RE",
];

/** Commands as they are typed: one that is too long goes on in the next line. */
export const commands = (lines: readonly string[]): string[] => literal(lines.flatMap(continued));

// At a blank that no quotes are around.
function continued(line: string): string[] {
  if (line.length <= COMMAND_WIDTH) return [line];
  const blanks = [...line.matchAll(/ /g)]
    .map(({ index }) => index)
    .filter((at) => at > 8 && at < COMMAND_WIDTH && line.slice(0, at).split("'").length % 2 === 1);
  // An option and its value stay together where they can.
  const at = blanks.findLast((blank) => /[-|>]/.test(line[blank + 1] ?? "")) ?? blanks.at(-1);
  if (at === undefined) return [line];
  return [`${line.slice(0, at)} \\`, ...continued(`    ${line.slice(at + 1)}`)];
}

/** Writes a page's body. @throws Error for a `{{name}}` that there is no part of */
export function roffOf(markdown: string, parts: Readonly<Record<string, readonly string[]>>): string[] {
  return markdown
    .trim()
    .split(/\n\n+(?=[^ \n])/)
    .reduce<string[]>(joinFences, [])
    .flatMap((block) => roffOfBlock(block, parts))
    .filter((line, index, lines) => line !== ".PP" || !/^\.S[HS] /.test(lines[index - 1] ?? ""));
}

// A fenced block may have empty lines.
function joinFences(blocks: string[], block: string): string[] {
  const last = blocks.at(-1);
  if (last?.startsWith("```") && !last.endsWith("```"))
    return [...blocks.slice(0, -1), `${last}\n\n${block}`];
  return [...blocks, block];
}

function roffOfBlock(block: string, parts: Readonly<Record<string, readonly string[]>>): string[] {
  const [, name] = /^\{\{(.+)\}\}$/.exec(block) ?? [];
  if (name !== undefined) {
    const part = parts[name];
    if (part === undefined) throw new Error(`there is no part '${name}'`);
    return [...part];
  }
  const [, level, title] = /^(##?) (.+)$/.exec(block) ?? [];
  if (title !== undefined) return [`${level === "#" ? ".SH" : ".SS"} "${exact(title)}"`];
  if (block.startsWith("```")) return commands(block.split("\n").slice(1, -1));
  if (block.startsWith("- ")) return block.split(/\n(?=- )/).flatMap(roffOfItem);
  return paragraph(inline(block));
}

function roffOfItem(item: string): string[] {
  const [, term, text = ""] = /^- (?=[`*])((?:`[^`]+`|[^`:])+): ([^]*)$/.exec(item) ?? [];
  if (term === undefined) throw new Error(`an item needs a term: ${item}`);
  return definition(inline(term), inline(text));
}
