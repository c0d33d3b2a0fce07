// Whoever asked for a connection, as far as a login may ask them something.
import { TundError } from "../../shared/errors.ts";
import type { OpenKey } from "./key-ring.ts";

/** What a person is asked. */
export interface Question {
  kind: "passphrase" | "password" | "new-password" | "keyboard-interactive" | "host-key";
  /** what is shown before, lines with newlines between them */
  instructions: string | null;
  /** what stands before the answer: `user@host's password: ` */
  text: string;
  /** whether the answer may be seen while it is typed */
  echo: boolean;
  /** what an answer may be kept under, for whoever wants it remembered; null when it is good for once only */
  memo: string | null;
}

export interface Caller {
  /** whether there is somebody to ask, now */
  readonly isPresent: boolean;
  /** sockets of the callers' own authentication agents */
  readonly agents: readonly string[];
  /** Asks. @throws TundError PROMPT_UNANSWERED when nobody is there, or nobody answers */
  ask(question: Question): Promise<string>;
  /** Whether there is an answer kept under this memo. */
  remembers(memo: string): boolean;
  /** The answer or key kept under this memo is of no use: it is not given again. */
  forget(memo: string): void;
  /** An open key takes the place of the passphrase kept under this memo. False where none is: nobody wants it remembered. */
  keepKey(memo: string, key: OpenKey): boolean;
  /** The key kept under this memo. */
  keptKey(memo: string): OpenKey | undefined;
  /** Tells whoever is there. */
  tell(text: string): void;
}

/** What a login comes to for want of an answer. @param needed `a password for me@host` */
export const unanswered = (needed: string, why = "there is nobody to ask"): TundError =>
  new TundError("PROMPT_UNANSWERED", `it needs ${needed}, and ${why}`);

/** Nobody: under BatchMode, and where no caller waits. */
export const nobody: Caller = {
  isPresent: false,
  agents: [],
  ask: (question) => Promise.reject(unanswered(`an answer to '${question.text.trim()}'`)),
  remembers: () => false,
  forget: () => undefined,
  keepKey: () => false,
  keptKey: () => undefined,
  tell: () => undefined,
};
