// Verdicts, side by side.
import { expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { awaited } from "./awaited.ts";
import type { Client } from "./clients.ts";
import { note } from "./notes.ts";

/** Null when it works, else why not: what the client says, or what was seen where it says nothing. */
export type Verdict = { works: true } | { works: false; why: string; isTold: boolean };

interface Verdicts {
  ssh: Verdict;
  tund: Verdict;
}

/** Tries something with a client; what the client has to say of a failure goes before what was seen of it. */
export async function tried(client: Client, task: () => Promise<void>): Promise<Verdict> {
  try {
    await task();
    return { works: true };
  } catch (error) {
    const seen = error instanceof Error ? error.message : String(error);
    // A command that failed has said why; of a connection that did, the list says it in its own time.
    if (
      !/^(the connection ended|other bytes|all came back|nothing came|SOCKS says|connect E|read E|no port)/.test(
        seen,
      )
    )
      return { works: false, why: seen, isTold: seen !== "" };
    const complaint = await eventually(async () => (await client.complaint()) || false, {
      deadlineMs: 2000,
    }).catch(() => "");
    return { works: false, why: complaint || seen, isTold: complaint !== "" };
  }
}

/**
 * What ssh can do, tund can; what tund cannot, it says why in one line.
 * @param row what was tried, and `column` on which server, for the table
 */
export function compare({ row, column }: Place, { ssh, tund }: Verdicts): void {
  note({ row, column, ssh: words(ssh), tund: words(tund) });
  expect({ tund: words(tund), ssh: words(ssh) }).toEqual({
    tund: ssh.works ? "works" : words(tund),
    ssh: words(ssh),
  });
  if (!tund.works) expect(tund).toMatchObject({ isTold: true, why: expect.stringMatching(/^[^\n]+$/) });
}

export interface Place {
  row: string;
  column: string;
}

const words = (verdict: Verdict): string => (verdict.works ? "works" : verdict.why);

/** `it`, or for what is known to be wrong yet one that fails when it is right. */
export function itOf({ row, column }: Place): typeof it | typeof it.fails {
  const isAwaited = awaited.some((one) => one.row === row && (one.column ?? column) === column);
  return isAwaited ? it.fails : it;
}
