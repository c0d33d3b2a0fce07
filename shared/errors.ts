// Every way in which tund or tunctl can fail: code → HTTP status and exit code. A code exists only if some caller acts on it.

/** HTTP status on the control API and exit code of tunctl, by error code. Codes are never reused. */
export const errors = {
  INVALID_REQUEST: { status: 400, exit: 2 },
  FORBIDDEN: { status: 403, exit: 1 },
  NOT_FOUND: { status: 404, exit: 4 },
  REQUEST_TOO_LARGE: { status: 413, exit: 2 },
  UNSUPPORTED: { status: 501, exit: 1 },

  NAME_IN_USE: { status: 409, exit: 1 },
  STATE_NOT_SAVED: { status: 507, exit: 1 },
  TIMEOUT: { status: 504, exit: 8 },

  HOST_CONFLICT: { status: 409, exit: 1 },
  HOST_CONFIG_FAILED: { status: 422, exit: 1 },
  SSH_NOT_FOUND: { status: 500, exit: 1 },

  HOST_UNREACHABLE: { status: 502, exit: 1 },
  CONNECT_TIMEOUT: { status: 504, exit: 8 },
  CONNECTION_LOST: { status: 502, exit: 1 },
  KEX_FAILED: { status: 502, exit: 1 },
  HOST_KEY_UNKNOWN: { status: 502, exit: 6 },
  HOST_KEY_CHANGED: { status: 502, exit: 6 },
  HOST_KEY_REVOKED: { status: 502, exit: 6 },
  PROMPT_UNANSWERED: { status: 502, exit: 7 },
  AUTH_FAILED: { status: 502, exit: 7 },
  MASTER_CLOSING: { status: 409, exit: 1 },
  PROBE_TIMEOUT: { status: 504, exit: 8 },

  BIND_IN_USE: { status: 409, exit: 5 },
  BIND_FAILED: { status: 422, exit: 1 },
  FORWARD_REFUSED: { status: 502, exit: 1 },

  CHANNEL_PROHIBITED: { status: 502, exit: 1 },
  CHANNEL_CONNECT_FAILED: { status: 502, exit: 1 },
  CHANNEL_UNKNOWN_TYPE: { status: 502, exit: 1 },
  CHANNEL_RESOURCE_SHORTAGE: { status: 502, exit: 1 },

  SHUTTING_DOWN: { status: 503, exit: 3 },
  INTERNAL: { status: 500, exit: 1 },

  DAEMON_UNREACHABLE: { status: 503, exit: 3 },
} as const satisfies Record<string, { status: number; exit: number }>;

export type ErrorCode = keyof typeof errors;

/** Tells whether a string that came from elsewhere (the wire) is one of our codes. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errors, code);

/** The one error class: a code that callers act on, a message for people, and data where there is any. */
export class TundError extends Error {
  override readonly name = "TundError";
  readonly code: ErrorCode;
  readonly details?: Record<string, unknown>;

  constructor(
    code: ErrorCode,
    message: string,
    more: { cause?: unknown; details?: Record<string, unknown> } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    if (more.details !== undefined) this.details = more.details;
  }
}

/**
 * What was thrown, as the kind of error that callers act on. What is none is a fault of ours, INTERNAL, which its log has to
 * have: where it is told and not thrown again, `failureOf` does both.
 */
export const asTundError = (error: unknown): TundError =>
  error instanceof TundError
    ? error
    : new TundError("INTERNAL", `tund failed inside (${messageOf(error)}); its log says more`, {
        cause: error,
      });

/** As asTundError, for whoever tells of it: a fault of ours is in the log then, whole and once. */
export function failureOf(error: unknown, log: { fault(error: unknown): void }): TundError {
  const failure = asTundError(error);
  if (failure.code === "INTERNAL") log.fault(error);
  return failure;
}

/** What was thrown, as a message: `catch` gives unknown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The system's error code (`ECONNREFUSED`, ...) of what was thrown, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
