// A control socket of a test's own, by its path.
import type { ControlSocket } from "../../cli/control-socket.ts";

/** What tunctl's own functions take; the owners of socket and directory are looked at, and the kernel is not asked. */
export const atPath = (path: string): ControlSocket => ({ path, native: null });
