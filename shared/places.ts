// The directories that tund obeys, and what is said of one that it does not.
import { note, ok, problem } from "./finding.ts";
import type { Finding } from "./logins.ts";
import { type Judgement, quoted, type Refusal, type Seen, shownMode, whyNotOwnFile } from "./trusted-path.ts";

export interface Place {
  /** what it is for, in a doctor's findings */
  subject: string;
  name: string;
  rule: string;
  /** the variable by which another one is chosen */
  setting: string;
}

export const socketPlace: Place = {
  subject: "socket",
  name: "the control socket's directory",
  rule: "the control socket needs a directory of its own (mode 0700)",
  setting: "TUND_SOCKET",
};

export const statePlace: Place = {
  subject: "state",
  name: "the state directory",
  rule: "the state directory has to be its user's alone (mode 0700)",
  setting: "TUND_STATE_DIR",
};

/** Why a start is refused, in one line: what is wrong with which path, and what to type. */
export const refusalLine = ({ why, next }: Refusal, place: Place): string =>
  `${why}: ${place.rule}: ${nextStep({ next }, place)}`;

const nextStep = ({ next }: Pick<Refusal, "next">, { setting }: Place): string =>
  `${next === null ? "" : `${next}, or `}set ${setting} to a path in a directory of your own`;

/** What a doctor says of a directory. @param isMade whether a start is still to come, which makes what is missing */
export function findingOf(place: Place, directory: string, judgement: Judgement, isMade: boolean): Finding {
  const { refusal, warnings, found } = judgement;
  const { subject, rule, setting } = place;
  const [warning] = warnings;
  if (refusal !== null) return problem(subject, `${refusal.why}: ${rule}`, nextStep(refusal, place));
  if (found === null && isMade) return ok(subject, `${directory} is not there, and is made when tund starts`);
  if (found === null)
    return problem(subject, `${directory} is not there`, `mkdir -m 700 ${quoted(directory)}`);
  if (warning !== undefined) return note(subject, warning, `set ${setting} to a path elsewhere`);
  const shown = shownMode(found);
  if (shown === "0700") return ok(subject, `${directory} is private (0700)`);
  return note(
    subject,
    `${directory} can be looked into by others (${shown})`,
    `chmod 700 ${quoted(directory)}`,
  );
}

/** What a doctor says of a file that is obeyed: nothing where it is as it should be. */
export function fileFindings(path: string, seen: Pick<Seen, "uid" | "mode">): Finding[] {
  const refusal = whyNotOwnFile(path, seen);
  if (refusal === null) return [];
  const next = [
    `move ${path} away`,
    ...(refusal.next === null ? [] : [`${refusal.next} if all that it says is yours`]),
  ];
  const message = `${refusal.why}: what it says is done in its user's name`;
  return [problem("state", message, next.join(", or "))];
}
