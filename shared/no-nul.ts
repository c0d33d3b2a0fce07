// By itself, since what refuses a request names the reason without loading TypeBox.

/** For every text that becomes an argument, a path or a name to look up: none of them can hold a NUL. */
export const noNul = { pattern: "^[^\\u0000]*$" } as const;
