// Whose environment counts: that of a caller of tund's own uid. Root's has no business in programs that another user runs.
import type { CallerNote } from "../../shared/logins.ts";

interface MayHaveCaller {
  caller?: CallerNote;
}

/** Takes the environment out of a request, unless it comes from tund's own uid. @param body as its schema has it, if it has one */
export function dropForeignEnvironment(body: unknown, isOwn: () => boolean): void {
  const { caller } = (body ?? {}) as MayHaveCaller;
  if (caller?.environment !== undefined && !isOwn()) delete caller.environment;
}
