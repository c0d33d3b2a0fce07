// The states of a master. The table is the code: an event without an entry changes nothing, so late events are harmless.
import type { ErrorCode } from "../../shared/errors.ts";

const transitions = {
  /** not connected, since nothing needs it: the next connection to one of its forwards dials */
  idle: { retry: "connecting", close: "closing" },
  /** TCP, key exchange, host key, user authentication */
  connecting: {
    authenticated: "ready",
    lost: "waiting",
    blocked: "blocked",
    refused: "failed",
    rest: "idle",
    close: "closing",
  },
  /** takes channels */
  ready: { lost: "waiting", rest: "idle", close: "closing" },
  /** lost; will dial again by itself */
  waiting: { retry: "connecting", rest: "idle", close: "closing" },
  /** needs a person: a passphrase, a password, a code, an unknown host key */
  blocked: { retry: "connecting", close: "closing" },
  /** refused for a reason that trying again cannot cure */
  failed: { retry: "connecting", close: "closing" },
  /** takes no new forwards; ends when its last channel has */
  closing: { drained: "closed" },
  closed: {},
} as const;

export type MasterState = keyof typeof transitions;
export type MasterEvent =
  | "authenticated"
  | "lost"
  | "blocked"
  | "refused"
  | "rest"
  | "retry"
  | "close"
  | "drained";

// What trying again cannot cure, and what a person must decide; everything else is a loss that time may heal.
const eventOf: Partial<Record<ErrorCode, MasterEvent>> = {
  AUTH_FAILED: "refused",
  HOST_KEY_CHANGED: "refused",
  HOST_KEY_REVOKED: "refused",
  KEX_FAILED: "refused",
  HOST_KEY_UNKNOWN: "blocked",
  PROMPT_UNANSWERED: "blocked",
};

/** What a failure to connect, or the end of a link, is for a master, by whether it is needed without being asked for. */
export function eventOfFailure(code: ErrorCode, isNeeded: boolean): MasterEvent {
  const event = eventOf[code] ?? "lost";
  return event === "lost" && !isNeeded ? "rest" : event;
}

/** The state that follows when this happens in that state. */
export const nextMasterState = (state: MasterState, event: MasterEvent): MasterState =>
  (transitions[state] as Partial<Record<MasterEvent, MasterState>>)[event] ?? state;

/** Whether it wants a link and has none, nor is dialling. */
export const isAway = (state: MasterState): boolean => ["waiting", "blocked", "failed"].includes(state);

/** Whether it takes nothing new any more, and will not again. */
export const isOver = (state: MasterState): boolean => state === "closing" || state === "closed";

/** The link is there, it will be by itself, or it will not. */
export type Outlook = "up" | "coming" | "gone";

/** What can be expected of a master's link. */
export function outlookOf(state: MasterState): Outlook {
  if (state === "ready") return "up";
  return ["connecting", "waiting", "idle"].includes(state) ? "coming" : "gone";
}
