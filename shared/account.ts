// Whose home this is, and by what name, also where a uid has no entry in passwd(5): in containers that is usual.
import { isAbsolute } from "node:path";

/** What passwd(5) has of a uid. */
export interface Account {
  username: string;
  homedir: string;
}

/** What passwd(5) has of the uid that we run as; null where it has no entry, or cannot be asked. */
export function ownAccount(): Account | null {
  try {
    // Not imported: tunctl does without node:os where nobody asks.
    return process.getBuiltinModule("node:os").userInfo();
  } catch {
    return null;
  }
}

/**
 * The home directory: `home` (HOME of the environment) where it is an absolute path, else passwd's. A relative one would
 * lead tund and tunctl to different places. Where neither is to be had it is `/`, which is what container runtimes set HOME to.
 */
export function homeDirectory(home: string | undefined, account = ownAccount): string {
  if (home !== undefined && isAbsolute(home)) return home;
  const listed = account()?.homedir ?? "";
  return isAbsolute(listed) ? listed : "/";
}
