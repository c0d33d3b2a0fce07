// What a server or an agent said, as far as a message repeats it: within bounds.

import { clipped } from "../../shared/clipped.ts";

/** of a text, in a message; in UTF-16 units */
export const MOST_SAID = 1000;
const MOST_ITEMS = 40;
/** a name of an algorithm or a method (RFC 4251 section 6) */
const NAME = /^[!-+\--~]{1,64}$/;

/** What a program said on stderr, in one line. */
export const inLine = (said: string): string =>
  clipped(
    said
      .trim()
      .split(/\s*\n\s*/)
      .join("; "),
    MOST_SAID,
  );

/** A list for people: `a, b`, of a long one `a, b, and 312 more`. */
export function listed(items: readonly string[]): string {
  const shown = items.slice(0, MOST_ITEMS).map((item) => clipped(item, 200));
  const left = items.length - shown.length;
  return left === 0 ? shown.join(", ") : [...shown, `and ${left} more`].join(", ");
}

/** Those of a name-list that are names, no more than a message can hold. */
export const names = (list: readonly string[]): string[] => list.filter((name) => NAME.test(name));
