// The states of a forward. The table is the code: an event without an entry changes nothing, so late events are harmless.

const transitions = {
  /** asked for, not confirmed by the kernel or the server yet */
  pending: { bound: "active", refused: "failed", close: "closing" },
  /** confirmed: bound here, or acknowledged there */
  active: { unbound: "pending", close: "closing" },
  /** it cannot be: why stands beside it */
  failed: { retry: "pending", unbound: "pending", close: "closing" },
  /** accepts no more; established channels live on */
  closing: { drained: "closed" },
  closed: {},
} as const;

export type ForwardState = keyof typeof transitions;
export type ForwardEvent = "bound" | "refused" | "unbound" | "retry" | "close" | "drained";

/** The state that follows when this happens in that state. */
export const nextForwardState = (state: ForwardState, event: ForwardEvent): ForwardState =>
  (transitions[state] as Partial<Record<ForwardEvent, ForwardState>>)[event] ?? state;
