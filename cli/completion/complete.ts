// `tunctl __complete N WORD...`: what can stand in place of WORD number N (from 0), for the scripts of `tunctl completion`.
// Answers with a line that says what follows, `words` or `files`, and then a word and what it is a line, with a tab between.
import { visible, visibleLine } from "../../shared/visible.ts";
import type { Command, Context } from "../command.ts";
import { candidatesFor, type Candidate } from "./candidates.ts";
import { placeOf } from "./place.ts";

/** Answers one TAB. Gives 0, and says nothing of whatever went wrong: there is a prompt on that terminal. */
export async function complete(
  [number = "", ...words]: readonly string[],
  context: Context,
  verbs: readonly Command[],
): Promise<number> {
  try {
    const at = Number(number);
    const line = { before: words.slice(0, at), current: words[at] ?? "", after: words.slice(at + 1) };
    const place = placeOf(line, verbs);
    const found = await candidatesFor(place, verbs, context);
    const lines = found === "files" ? ["files"] : ["words", ...linesOf(found, place.positionals)];
    context.stdout.write(`${lines.join("\n")}\n`);
  } catch {
    // No answer is an answer.
  }
  return 0;
}

// A word that would break its line, or not be seen as it is, cannot be offered, and one that is there already need not be.
const linesOf = (candidates: readonly Candidate[], positionals: readonly string[]): string[] =>
  candidates
    .filter(({ word }) => visible(word) === word && !positionals.includes(word))
    .map(({ word, about }) => `${word}\t${visibleLine(about)}`);
