// CHANGELOG.md as a Debian changelog (deb-changelog(5)): one entry, for the version that is packaged.

/** What is new in `version`, or in what is not released yet: the items of its section. */
function itemsOf(markdown, version) {
  const sections = markdown.split(/^## /m).slice(1);
  const ofVersion = sections.find((section) => section.match(/^\[?([^\]\s]+)/)[1] === version);
  const [, ...items] = (ofVersion ?? sections[0] ?? "").split(/^- /m);
  return items.map((item) => item.split(/^#/m)[0].trim().replaceAll(/\n\s*/g, " "));
}

function wrap(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/**
 * Writes the changelog.
 * @param markdown the text of CHANGELOG.md
 * @param release its `version`, as package.json has it, and as Debian has it (`debianVersion`); `maintainer`; `date`
 */
export function changelog(markdown, { version, debianVersion, maintainer, date }) {
  const items = itemsOf(markdown, version).map((item) => `  * ${wrap(item, 74).join("\n    ")}`);
  if (items.length === 0) throw new Error("CHANGELOG.md has nothing to say of this version");
  const stamp = date.toUTCString().replace("GMT", "+0000");
  return `tunctl (${debianVersion}) unstable; urgency=medium\n\n${items.join("\n")}\n\n -- ${maintainer}  ${stamp}\n`;
}
