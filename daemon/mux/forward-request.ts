// A forward as the mux protocol has it, as the API has it. Pure.
import { isAbsolute } from "node:path";
import { TundError } from "../../shared/errors.ts";
import {
  type Bind,
  type Destination,
  formatForwardSpec,
  type ForwardKind,
  parseForwardSpec,
} from "../../shared/forward-spec.ts";
import { STREAMLOCAL, type WireForward } from "./protocol.ts";

/** A forward as the API takes it. */
interface KindAndSpec {
  kind: ForwardKind;
  spec: string;
}

const kinds: Partial<Record<number, ForwardKind>> = { 1: "local", 2: "remote", 3: "dynamic" };
const SOCKS = "socks"; // what a client sends as the destination of a forward that has none

/**
 * A forward to be opened. The client has expanded the %-tokens of its paths: what is left of them is meant as it is.
 * @throws TundError INVALID_REQUEST for what no forward can be
 */
export const forwardToOpen = (wire: WireForward): KindAndSpec =>
  read({
    ...wire,
    listen: wire.listenPort === STREAMLOCAL ? literal(wire.listen) : wire.listen,
    connect: wire.connectPort === STREAMLOCAL ? literal(wire.connect) : wire.connect,
  });

/** A forward to be cancelled, as it stands. @throws TundError INVALID_REQUEST */
export const forwardToClose = (wire: WireForward): KindAndSpec => read(wire);

const literal = (path: string): string => path.replaceAll("%", "%%");

function read(wire: WireForward): KindAndSpec {
  const kind = kinds[wire.kind];
  if (kind === undefined) throw refused(`${wire.kind} is no kind of forward`);
  const spec = formatForwardSpec({ bind: bindOf(wire, kind), destination: destinationOf(wire, kind) });
  parseForwardSpec(kind, spec);
  return { kind, spec };
}

function bindOf({ listen, listenPort: port }: WireForward, kind: ForwardKind): Bind {
  if (port !== STREAMLOCAL) return { address: listen === "" ? null : listen, port };
  // As OpenSSH, which has SOCKS on a Unix socket by its command line alone.
  if (kind === "dynamic") throw refused("a dynamic forward on a Unix socket");
  return pathOf(listen, kind !== "remote");
}

function destinationOf({ connect, connectPort: port }: WireForward, kind: ForwardKind): Destination {
  if (kind === "dynamic" || (kind === "remote" && port === 0 && connect === SOCKS)) return null;
  return port === STREAMLOCAL ? pathOf(connect, kind === "remote") : { host: connect, port };
}

// Nobody knows the client's working directory.
function pathOf(path: string, isHere: boolean): { path: string } {
  if (path === "") throw refused("a path is missing");
  if (isHere && !isAbsolute(path)) throw refused(`${path} is no absolute path`);
  return { path };
}

const refused = (why: string): TundError => new TundError("INVALID_REQUEST", why);
