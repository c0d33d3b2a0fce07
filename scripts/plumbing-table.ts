// What the conformance tests noted, as Markdown: a section a case, a row for each thing that was seen, by whom and for which kinds.
import { kinds } from "../test/plumbing/kinds.ts";
import type { Note } from "../test/plumbing/notes.ts";
import { subjectNames } from "../test/plumbing/subjects.ts";

const introduction = (version: string) => `# The plumbing, beside ssh

What becomes of the bytes of a forwarded connection, and of its ends, in tund and in ${version}'s own \`ssh\`: the same
test, of every kind of forward, on the same sshd. Written by \`npm run plumbing\` from what \`test/plumbing/\` saw; every
line of tund is asserted there. What a row does not name was the same for every kind.
`;

/** The document. */
export function plumbingTable(notes: readonly Note[], version: string): string {
  const titles = [...new Set(notes.map(({ title }) => title))].sort();
  const sections = titles.map((title) =>
    section(
      title,
      notes.filter((note) => note.title === title),
    ),
  );
  return [introduction(version), ...sections].join("\n");
}

function section(title: string, notes: readonly Note[]): string {
  const rows = subjectNames.flatMap((subject) => rowsOf(notes.filter((note) => note.subject === subject)));
  const saw = (subject: string) =>
    JSON.stringify(rows.filter((row) => row.subject === subject).map(({ did, which }) => [did, which]));
  const [ours, theirs] = subjectNames;
  const same = saw(ours) === saw(theirs) ? "The same for both.\n" : "";
  const lines = rows.map(({ subject, did, which }) => `| ${subject} | ${did} | ${which} |`);
  return `## A forward ${title}\n\n${same === "" ? "" : `${same}\n`}| | does | kinds |\n| --- | --- | --- |\n${lines.join("\n")}\n`;
}

/** One subject's notes of one case, those that say the same in one row. */
function rowsOf(notes: readonly Note[]): { subject: string; did: string; which: string }[] {
  const byDid = new Map<string, Note[]>();
  for (const note of notes) byDid.set(note.did, [...(byDid.get(note.did) ?? []), note]);
  return [...byDid].map(([did, alike]) => {
    const names = kinds.map(({ name }) => name).filter((name) => alike.some(({ kind }) => kind === name));
    const which = names.length === notes.length ? "all" : names.map((name) => `\`${name}\``).join(", ");
    return { subject: alike[0]?.subject ?? "", did, which };
  });
}
