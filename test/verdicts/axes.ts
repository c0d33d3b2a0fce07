// What a case of the table is, and how cases are made of lists.
import type { Shown } from "./servers.ts";

/** How strict, and what is answered where that is asked. */
export type Strictness = "yes" | "ask: yes" | "ask: no" | "ask: nobody" | "accept-new" | "no";

export interface Case {
  shown: Shown;
  /** by the names of `linesOf`, with ` + ` between them */
  known: string;
  strict: Strictness;
  /** RevokedHostKeys, by the names of `makeList` */
  list?: string;
  /** KnownHostsCommand, by the names of `makeCommand` */
  command?: string;
  /** further settings, as they stand in the table */
  more?: readonly string[];
}

/** A case in one line: what it is called in the table, and in the list of those that differ. */
export const titleOf = ({ shown, known, strict, list, command, more }: Case): string =>
  [
    shown,
    known,
    strict,
    ...(list === undefined ? [] : [`RevokedHostKeys: ${list}`]),
    ...(command === undefined ? [] : [`KnownHostsCommand ${command}`]),
    ...(more ?? []),
  ].join(" | ");

export const every: readonly Strictness[] = ["yes", "ask: yes", "ask: no", "ask: nobody", "accept-new", "no"];
export const most: readonly Strictness[] = ["yes", "ask: yes", "accept-new", "no"];
export const few: readonly Strictness[] = ["yes", "accept-new"];

export type Axis<T> = readonly T[];

/** All that the three can be together. */
export const product = (shown: Axis<Shown>, known: Axis<string>, strict: Axis<Strictness>): Case[] =>
  shown.flatMap((one) =>
    known.flatMap((two) => strict.map((three) => ({ shown: one, known: two, strict: three }))),
  );

/** Each case with each of these lists. */
export const withLists = (lists: Axis<string>, cases: Axis<Case>): Case[] =>
  lists.flatMap((list) => cases.map((one) => ({ ...one, list })));
