// -L, -R and -D: from the command line to the canonical text that the API takes.
import { resolve } from "node:path";
import {
  type Bind,
  type Destination,
  formatBind,
  formatForwardSpec,
  type ForwardKind,
  type ForwardPattern,
  parseForwardPattern,
  parseForwardSpec,
  type ServicePort,
} from "../shared/forward-spec.ts";
import { TundError } from "../shared/errors.ts";
import type { Given, Option } from "./args.ts";
import type { Context, Invocation } from "./command.ts";
import { expandEnvironment } from "./environment.ts";
import { servicePorts } from "./services.ts";

/** A forward as the API takes it. */
interface KindAndSpec {
  kind: ForwardKind;
  spec: string;
}

type Parse = (kind: ForwardKind, text: string, services: ServicePort) => ForwardPattern;

const local: Option = {
  short: "L",
  value: "SPEC",
  help: "local: [bind_address:]port:host:hostport, either side may be a Unix socket's path",
};
const remote: Option = {
  short: "R",
  value: "SPEC",
  help: "remote: the same, accepted on the server; without a destination, SOCKS",
};
const dynamic: Option = {
  short: "D",
  value: "SPEC",
  help: "dynamic: [bind_address:]port or a path: SOCKS 4, 4a, 5 and HTTP CONNECT",
};

/** For binds without an address, as in ssh(1). */
export const gateway: Option = { short: "g", help: "a bind without an address accepts from everywhere" };

const kinds = new Map<Option, ForwardKind>([
  [local, "local"],
  [remote, "remote"],
  [dynamic, "dynamic"],
]);

/** Which kind of forward an option names, if it names one. */
export const kindOf = (option: Option): ForwardKind | undefined => kinds.get(option);

/** What a verb that names forwards takes. */
export const forwardOptions: readonly Option[] = [...kinds.keys()];

/**
 * The forwards that were given, whole specs all, in their order.
 * @throws TundError INVALID_REQUEST for a spec that does not parse
 */
export const specsOf = (invocation: Invocation): KindAndSpec[] => forwardsOf(invocation, parseForwardSpec);

/**
 * The forwards that were given to cancel, each a whole spec or its bind part alone, in their order.
 * @throws TundError INVALID_REQUEST for a spec that does not parse
 */
export const patternsOf = (invocation: Invocation): KindAndSpec[] =>
  forwardsOf(invocation, parseForwardPattern);

function forwardsOf({ context, given }: Invocation, parse: Parse): KindAndSpec[] {
  const services = servicePorts(context.readServices);
  return given.flatMap(({ option, value }) => {
    const kind = kinds.get(option);
    if (kind === undefined) return [];
    const pattern = parse(kind, expandEnvironment(value, context.env), services);
    return [{ kind, spec: canonical(pattern, context.cwd) }];
  });
}

/**
 * The forwards that were given, as a command line in ssh's spelling has them.
 * @throws TundError INVALID_REQUEST in ssh's words for a spec that does not parse
 */
export function specsAsSsh(
  { readServices, env, cwd }: Context,
  given: readonly Given[],
  parse: Parse = parseForwardSpec,
): KindAndSpec[] {
  const services = servicePorts(readServices);
  return given.flatMap(({ option, value }) => {
    const kind = kinds.get(option);
    if (kind === undefined) return [];
    try {
      return [{ kind, spec: canonical(parse(kind, expandEnvironment(value, env), services), cwd) }];
    } catch (error) {
      if (!(error instanceof TundError)) throw error;
      throw new TundError(error.code, `Bad ${kind} forwarding specification '${value}'`, { cause: error });
    }
  });
}

/**
 * The text that the daemon takes. It has another working directory, so a path on this side is made absolute; one on the
 * server's side is its own affair.
 */
export function canonical({ kind, bind, destination }: ForwardPattern, cwd: string): string {
  const bindHere = kind === "remote" ? bind : absolute(bind, cwd);
  if (destination === undefined) return formatBind(bindHere);
  const destinationHere = kind === "remote" ? absolute(destination, cwd) : destination;
  return formatForwardSpec({ bind: bindHere, destination: destinationHere });
}

function absolute<End extends Bind | Destination>(end: End, cwd: string): End | { path: string } {
  if (end === null || !("path" in end)) return end;
  // A `%` begins a token (`%d/x.sock`) that the daemon expands.
  return end.path.startsWith("%") ? end : { path: resolve(cwd, end.path) };
}
