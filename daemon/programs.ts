// Which programs there are on PATH.
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

// Where execvp(3) looks when there is no PATH.
const DEFAULT_PATH = "/bin:/usr/bin";

/** Of some programs, those that are not on PATH. */
export async function missingPrograms(
  { PATH = DEFAULT_PATH }: Readonly<Record<string, string | undefined>>,
  programs: readonly string[],
): Promise<string[]> {
  const directories = PATH.split(delimiter).filter((directory) => directory !== "");
  const isThere = async (program: string): Promise<boolean> => {
    for (const directory of directories)
      try {
        await access(join(directory, program), constants.X_OK);
        return true;
      } catch {
        // perhaps in the next
      }
    return false;
  };
  const found = await Promise.all(programs.map(isThere));
  return programs.filter((_, index) => !found[index]);
}
