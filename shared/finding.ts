// What a doctor finds, one thing at a time: a subject in a word, what is so in a line, and what to do about it.
import type { Finding } from "./logins.ts";

/** Something that is as it should be. */
export const ok = (subject: string, message: string): Finding => ({
  subject,
  level: "ok",
  message,
  next: null,
});

/** Something worth knowing that stands in nobody's way. */
export const note = (subject: string, message: string, next: string | null = null): Finding => ({
  subject,
  level: "note",
  message,
  next,
});

/** Something that does. */
export const problem = (subject: string, message: string, next: string | null): Finding => ({
  subject,
  level: "problem",
  message,
  next,
});
