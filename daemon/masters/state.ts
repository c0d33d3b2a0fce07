// The states of a master. The table is the code: an event without an entry changes nothing, so late events are harmless.

const transitions = {
  /** TCP, key exchange, host key, user authentication */
  connecting: {
    authenticated: "ready",
    lost: "waiting",
    blocked: "blocked",
    refused: "failed",
    close: "closing",
  },
  /** takes channels */
  ready: { lost: "waiting", close: "closing" },
  /** lost; will dial again by itself */
  waiting: { retry: "connecting", close: "closing" },
  /** needs a person: an unknown host key */
  blocked: { retry: "connecting", close: "closing" },
  /** refused for a reason that trying again cannot cure */
  failed: { retry: "connecting", close: "closing" },
  /** takes no new forwards; ends when its last channel has */
  closing: { drained: "closed" },
  closed: {},
} as const;

export type MasterState = keyof typeof transitions;
export type MasterEvent = "authenticated" | "lost" | "blocked" | "refused" | "retry" | "close" | "drained";

/** The state that follows when this happens in that state. */
export const nextMasterState = (state: MasterState, event: MasterEvent): MasterState =>
  (transitions[state] as Partial<Record<MasterEvent, MasterState>>)[event] ?? state;
