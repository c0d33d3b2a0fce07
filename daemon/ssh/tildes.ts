// `~` and `~NAME` in paths that `ssh -G` leaves as they were written: ssh is asked whose home directory that is, which knows all
// that getpwnam(3) does.
import { messageOf, TundError } from "../../shared/errors.ts";
import { parseSettings, type Settings } from "./settings.ts";

// Of these a tilde begins each path (ssh.c); GlobalKnownHostsFile has several in a line.
const ONE_PATH = ["identityfile", "certificatefile", "revokedhostkeys"];
const SEVERAL_PATHS = ["globalknownhostsfile"];
const MOST_USERS = 16;

/**
 * Gives the settings with absolute paths where one began with `~` or `~NAME`.
 * @param home what `~` alone stands for @param ask runs `ssh -G` with these arguments
 * @throws TundError HOST_CONFIG_FAILED where there is no such user, as ssh ends then, or more than 16 are named; what `ask` throws
 */
export async function expandTildes(
  settings: Settings,
  home: string,
  ask: (args: readonly string[]) => Promise<string>,
): Promise<Settings> {
  const pathsOf = (name: string) => (settings.get(name) ?? []).flatMap((value) => partsOf(name, value));
  const users = new Set(
    [...ONE_PATH, ...SEVERAL_PATHS].flatMap(pathsOf).flatMap((path) => userIn(path) ?? []),
  );
  if (users.size === 0) return settings;
  if (users.size > MOST_USERS)
    throw new TundError("HOST_CONFIG_FAILED", `more than ${MOST_USERS} users are named by '~NAME' in paths`);
  const homes = new Map<string, string>();
  for (const user of users) homes.set(user, user === "" ? home : await homeOf(user, ask));
  const expanded = (path: string): string => {
    const user = userIn(path);
    return user === null ? path : `${homes.get(user) ?? ""}${path.slice(1 + user.length)}`;
  };
  const changed = [...ONE_PATH, ...SEVERAL_PATHS].flatMap((name): [string, string[]][] => {
    const values = settings.get(name);
    return values === undefined
      ? []
      : [[name, values.map((value) => partsOf(name, value).map(expanded).join(" "))]];
  });
  return new Map([...settings, ...changed]);
}

// A path with a space in it is not told from two paths here: `~` behind a space begins one.
const partsOf = (name: string, value: string): string[] =>
  SEVERAL_PATHS.includes(name) ? value.split(" ") : [value];

/** The name behind a tilde, empty for `~` alone; null where the path begins with none. */
const userIn = (path: string): string | null => /^~([^/]*)/.exec(path)?.[1] ?? null;

// ControlPath is a path that every ssh expands before it prints it.
async function homeOf(user: string, ask: (args: readonly string[]) => Promise<string>): Promise<string> {
  const path = `~${user}/x`.replaceAll(/["\\]/g, String.raw`\$&`);
  const printed = await ask(["-F", "none", "-o", `ControlPath="${path}"`, "--", "localhost"]).catch(
    (error: unknown) => {
      if (!(error instanceof TundError) || error.code !== "HOST_CONFIG_FAILED") throw error;
      const why = `'~${user}' in a path of ssh_config: ${messageOf(error)}`;
      throw new TundError("HOST_CONFIG_FAILED", why, { cause: error });
    },
  );
  const [found = ""] = parseSettings(printed).get("controlpath") ?? [];
  if (!found.startsWith("/") || !found.endsWith("/x"))
    throw new TundError(
      "HOST_CONFIG_FAILED",
      `'~${user}' in a path of ssh_config: ssh does not say whose that is`,
    );
  return found.slice(0, -"/x".length);
}
