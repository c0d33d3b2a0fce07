// What is known to be wrong yet. Each test of these is expected to fail, and its line goes when it does no longer.

/** A row of the table, on one server or on all that have it. */
export interface Awaited {
  row: string;
  column?: string;
  reason: string;
}

export const awaited: readonly Awaited[] = [
  {
    row: "-R 0:host:port",
    column: "asyncssh",
    reason:
      "it opens channels for port 0, which ssh takes no more than tund; that they are refused is not told",
  },
];
