// The cases in which tund is stricter than ssh, as data that a run is compared with, and as docs/host-keys.md tells them.
import { type Case, titleOf } from "./axes.ts";
import type { Reason } from "./reasons.ts";
import type { Tries, Verdict } from "./trying.ts";

/** One case in which the two differ. */
export interface Difference {
  case: string;
  ssh: string;
  tund: string;
}

/** The cases that differ, by the reasons for it; `ssh` is the version that they were seen beside. */
export interface Stricter {
  ssh: string;
  cases: number;
  differences: Record<string, Difference[]>;
}

const did = ({ isTaken, recorded }: Verdict): string => {
  const verdict = isTaken ? "takes it" : "refuses it";
  return recorded.length === 0 ? verdict : `${verdict}, records it`;
};

/** Null for a case in which both do the same, and record the same. */
export function differenceOf(one: Case, { ssh, tund }: Tries): Difference | null {
  const isSame =
    ssh.isTaken === tund.isTaken && JSON.stringify(ssh.recorded) === JSON.stringify(tund.recorded);
  return isSame ? null : { case: titleOf(one), ssh: did(ssh), tund: did(tund) };
}

/** Whether tund took, or recorded, what ssh did not. */
export function isLooser({ ssh, tund }: Tries, reason: Reason | undefined): boolean {
  const isMore = tund.recorded.some((line) => !ssh.recorded.includes(line));
  return (tund.isTaken && !ssh.isTaken) || (isMore && reason?.recordsMore !== true);
}

/** What docs/host-keys.md says of them: a section for each reason, a row for each case. */
export function sections({ differences }: Stricter, reasons: readonly Reason[]): string {
  return reasons
    .map(({ title, text }) => {
      const rows = (differences[title] ?? []).map((one) => {
        const [shown, known, strict, ...more] = one.case.split(" | ");
        const cells = [shown, known, strict, more.join("; "), one.ssh, one.tund];
        return `| ${cells.join(" | ")} |`;
      });
      const head = "| server shows | known hosts | StrictHostKeyChecking | besides | ssh | tund |";
      return [`### ${title}`, "", text, "", head, "| --- | --- | --- | --- | --- | --- |", ...rows].join(
        "\n",
      );
    })
    .join("\n\n");
}
