// Texts that somebody else made, within bounds.

/** A text of at most `most` UTF-16 units: of a longer one the beginning, and how much of it is left out. */
export function clipped(text: string, most: number): string {
  if (text.length <= most) return text;
  const head = text.slice(0, most).replace(/[\ud800-\udbff]$/, ""); // no half of a pair
  return `${head}... (${text.length - head.length} more)`;
}
