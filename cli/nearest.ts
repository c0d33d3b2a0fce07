// "did you mean": the known word that is fewest edits away.

/** Finds the word that a mistyped one most likely meant, or undefined when none is near. */
export function nearest(typed: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  // Three edits away is another word.
  let fewest = 3;
  for (const word of words) {
    const edits = distance(typed, word);
    // `-x` is one edit from every other letter, which says nothing.
    if (edits < fewest && word.length > 2) [best, fewest] = [word, edits];
  }
  return best;
}

// Levenshtein's distance, a row at a time.
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
