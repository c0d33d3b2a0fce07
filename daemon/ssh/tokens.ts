// Expansion of tilde, ${ENV} and %-tokens where `ssh -G` leaves them as they were written (IdentityFile, CertificateFile).
import { createHash } from "node:crypto";
import { hostname as localHostname } from "node:os";
import { TundError } from "../../shared/errors.ts";

/** Who runs the daemon: what `~`, `%d`, `%i`, `%u` and `${ENV}` stand for. */
export interface Person {
  home: string;
  uid: number;
  username: string;
  env: Readonly<Record<string, string | undefined>>;
}

/** The connection's own values, for %-tokens. */
export interface TokenSource {
  originalHost: string;
  hostname: string;
  port: number;
  user: string;
  hostKeyAlias: string | null;
  proxyJump: string;
}

/** The TOKENS of ssh_config(5) that CertificateFile and IdentityFile accept. */
export function tokensOf(source: TokenSource, person: Person): Record<string, string> {
  const full = localHostname();
  const port = String(source.port);
  const connection = full + source.hostname + port + source.user + source.proxyJump;
  return {
    "%": "%",
    C: createHash("sha1").update(connection).digest("hex"),
    d: person.home,
    h: source.hostname,
    i: String(person.uid),
    j: source.proxyJump,
    k: source.hostKeyAlias ?? source.originalHost,
    L: full.split(".")[0] ?? full,
    l: full,
    n: source.originalHost,
    p: port,
    r: source.user,
    u: person.username,
  };
}

/**
 * Expands the %-tokens of a path.
 * @throws TundError HOST_CONFIG_FAILED for one that is not known
 */
export const expandTokens = (path: string, tokens: Readonly<Record<string, string>>): string =>
  path.replaceAll(/%(.?)/g, (_, letter: string) => {
    const value = Object.hasOwn(tokens, letter) ? tokens[letter] : undefined;
    if (value === undefined)
      throw new TundError("HOST_CONFIG_FAILED", `'${path}': the token %${letter} is not known`);
    return value;
  });

/** An environment variable; `constructor` and its like are none, though every object has them. */
export const variable = (env: Person["env"], name: string): string | undefined =>
  Object.hasOwn(env, name) ? env[name] : undefined;

/**
 * Expands a path, or what else takes both, as ssh_config(5) does: `~`, then `${ENV}` and %-tokens. What those stand for is not
 * expanded again (misc.c, vdollar_percent_expand). `~NAME` is none of it: expandTildes() asks whose that is.
 * @throws TundError HOST_CONFIG_FAILED for an unknown token or an environment variable that is not set
 */
export function expandPath(path: string, tokens: Readonly<Record<string, string>>, person: Person): string {
  const [home, rest] = /^~(?:\/|$)/.test(path) ? [person.home, path.slice(1)] : ["", path];
  return home + expandVariables(rest, tokens, person.env);
}

/** Expands `${ENV}` and %-tokens alone, in one pass. @throws as `expandPath` */
export const expandVariables = (
  text: string,
  tokens: Readonly<Record<string, string>>,
  env: Person["env"],
): string =>
  text.replaceAll(/\$\{([^}]*)(\}?)|%.?/g, (found, name: string | undefined, end: string) => {
    if (name === undefined) return expandTokens(found, tokens);
    const value = variable(env, name);
    if (end === "")
      throw new TundError("HOST_CONFIG_FAILED", `'${text}': a brace of a variable is not closed`);
    if (value === undefined)
      throw new TundError("HOST_CONFIG_FAILED", `'${text}': the environment variable ${name} is not set`);
    return value;
  });

/** The variables that a text names as `${NAME}`, as far as they are set. */
export const variablesIn = (text: string, env: Person["env"]): Record<string, string> =>
  Object.fromEntries(
    [...text.matchAll(/\$\{([^}]*)\}/g)].flatMap(([, name = ""]): [string, string][] => {
      const value = variable(env, name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
