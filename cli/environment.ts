// `${NAME}` in a forward comes from the caller's environment, not the daemon's (OpenSSH misc.c, dollar_expand).
import { usageError } from "./args.ts";

/**
 * Replaces each `${NAME}`; a `$` without a brace stays.
 * @throws TundError INVALID_REQUEST for a name that is not set, a `${}`, or a brace that is not closed
 */
export function expandEnvironment(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(/\$\{([^}]*)(\}?)/g, (_, name: string, close: string) => {
    if (close === "") throw usageError(`'${text}' has a '\${' without a '}'`);
    if (name === "") throw usageError(`'${text}' has a '\${}' without a name`);
    const value = Object.hasOwn(env, name) ? env[name] : undefined; // every object has a `constructor`
    if (value === undefined)
      throw usageError(`'${text}' names \${${name}}, which is not set in the environment`);
    return value;
  });
}
