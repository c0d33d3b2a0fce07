// Directories of our own: made for us alone, or refused as they are. Nothing is ever made private that was not.
import { makeDirectory } from "./make-directory.ts";
import { type Place, refusalLine } from "./places.ts";
import { judge, type Need } from "./trusted-path.ts";

/** The directory is not ours alone. `message` is one line, with what to do. */
export class NotOwnDirectory extends Error {
  override readonly name = "NotOwnDirectory";
}

/**
 * Makes sure of a directory that is ours alone (0700); it is made if it is missing.
 * @param warn told what others can do all the same
 * @throws NotOwnDirectory; Error that names the directory which cannot be made
 */
export async function claimDirectory(
  path: string,
  place: Place,
  warn: (line: string) => void,
): Promise<void> {
  const approve = () => refuse(path, place, "private");
  // Before anything is made, since it might be made somewhere else; and after that, since another may have been quicker.
  approve();
  await makeDirectory(path, 0o700, approve);
  for (const warning of approve()) warn(`${place.name}: ${warning}`);
}

/** Gives the warnings. @throws NotOwnDirectory */
export function refuse(path: string, place: Place, need: Need): readonly string[] {
  const { refusal, warnings } = judge(path, need);
  if (refusal !== null) throw new NotOwnDirectory(refusalLine(refusal, place));
  return warnings;
}
