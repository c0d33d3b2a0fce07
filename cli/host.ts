// HOST may be left out when there is only one that can be meant.
import { usageError } from "./args.ts";
import type { Invocation } from "./command.ts";

/**
 * The host that was named, else the daemon's only one.
 * @throws TundError INVALID_REQUEST when none was named and the daemon knows none or several
 */
export async function hostOrOnly(invocation: Invocation, named: string | undefined): Promise<string> {
  if (named !== undefined) return named;
  const { masters } = await invocation.call("listMasters", {});
  const [only, another] = masters;
  if (only === undefined) throw usageError("which HOST? The daemon has no master yet");
  if (another === undefined) return only.host;
  throw usageError(
    `which HOST? The daemon has masters for ${masters.map((master) => master.host).join(", ")}`,
  );
}
