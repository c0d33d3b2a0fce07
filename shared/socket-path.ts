// Where the control socket is when nobody says: the same answer for tund and for tunctl.
import { join, resolve } from "node:path";
import { judge } from "./trusted-path.ts";

/** Longest path that fits `sun_path` with its NUL, in bytes: 107 on Linux (unix(7)), 103 on macOS and the BSDs. */
export const maxSocketPath = (platform: NodeJS.Platform): number => (platform === "linux" ? 107 : 103);

/** The environment that decides where tund keeps things. */
export interface PathEnvironment {
  TUND_SOCKET?: string | undefined;
  TUND_STATE_DIR?: string | undefined;
  RUNTIME_DIRECTORY?: string | undefined;
  STATE_DIRECTORY?: string | undefined;
  XDG_RUNTIME_DIR?: string | undefined;
  XDG_STATE_HOME?: string | undefined;
}

/** The control socket of the machine's own tund, by the user of that name: its unit says so. */
export const SYSTEM_SOCKET = "/run/tund/tund.sock";

// systemd passes several directories joined by colons (systemd.exec(5)); the first is ours.
const first = (list: string | undefined): string | undefined => list?.split(":")[0] || undefined;

/**
 * The state directory: `TUND_STATE_DIR`, what systemd gave, else `~/.local/state/tund` (XDG base directories). Absolute, and
 * without `..`, which means one thing to the kernel behind a link and another where a name is joined to it: what is judged is what is used.
 */
export function stateDirectory(env: PathEnvironment, home: string): string {
  return resolve(
    env.TUND_STATE_DIR ||
      first(env.STATE_DIRECTORY) ||
      join(env.XDG_STATE_HOME || join(home, ".local", "state"), "tund"),
  );
}

/**
 * Where the control socket may be, best first. `tund` binds the first; `tunctl` speaks to the first that exists,
 * since a login shell and a service do not always have the same XDG_RUNTIME_DIR. A runtime directory that is not ours (sudo -E
 * and su keep another user's), or in which others can write, counts as unset.
 * @param onPassedOver told of each of those, in a line
 */
export function socketPaths(
  env: PathEnvironment,
  home: string,
  onPassedOver: (line: string) => unknown = () => undefined,
): [string, ...string[]] {
  const own = (name: string, directory: string | undefined): string | undefined => {
    const why = directory ? judge(directory, "own").refusal?.why : undefined;
    if (why !== undefined) onPassedOver(`${name} is not used: ${why}`);
    return why === undefined ? directory : undefined;
  };
  if (env.TUND_SOCKET) return [resolve(env.TUND_SOCKET)];
  const fallback = join(stateDirectory(env, home), "run", "tund.sock");
  const service = own("RUNTIME_DIRECTORY", first(env.RUNTIME_DIRECTORY));
  if (service !== undefined) return [join(service, "tund.sock")];
  const session = own("XDG_RUNTIME_DIR", env.XDG_RUNTIME_DIR);
  return !session ? [fallback] : [join(session, "tund", "tund.sock"), fallback];
}
