// What ssh says of forwards that could not be set up (clientloop.c, ssh.c, mux.c): scripts look for it.
import { type ForwardKind, parseForwardPattern } from "../shared/forward-spec.ts";

/** A forward as the API takes it. */
export interface SpecText {
  kind: ForwardKind;
  spec: string;
}

/** Of a remote forward: `remote port forwarding failed for listen port 8080`. */
export function remoteRefusal({ kind, spec }: SpecText): string {
  const { bind } = parseForwardPattern(kind, spec);
  return `remote port forwarding failed for listen ${"path" in bind ? `path ${bind.path}` : `port ${bind.port}`}`;
}
