// What a request to open forwards asks for, read and judged before anything is dialled. Pure.
import type { OpenRequest } from "../../shared/contract.ts";
import { TundError } from "../../shared/errors.ts";
import { type ForwardSpec, parseForwardSpec } from "../../shared/forward-spec.ts";
import type { Wishes } from "../forwards/forward.ts";

/** @throws TundError INVALID_REQUEST */
export const specsOf = (forwards: OpenRequest["forwards"]): ForwardSpec[] =>
  forwards.map(({ kind, spec }) => parseForwardSpec(kind, spec));

/** What is wanted of each of the forwards. */
export const wishesOf = ({ gatewayPorts, onDemand, idleSeconds }: OpenRequest): Wishes => ({
  gatewayPorts: gatewayPorts ?? false,
  onDemand: onDemand ?? false,
  idleSeconds: idleSeconds ?? null,
});

const refuse = (why: string): never => {
  throw new TundError("INVALID_REQUEST", why);
};

/** @throws TundError INVALID_REQUEST for what no forward can be */
export function refuseNonsense(request: OpenRequest, specs: readonly ForwardSpec[]): void {
  const { name, onDemand = false, idleSeconds, wait = true, timeoutSeconds } = request;
  if (name !== undefined && specs.length > 1) refuse(`${name} can be the name of one forward only`);
  if (onDemand && specs.some(({ kind }) => kind === "remote"))
    refuse("a remote forward cannot be on demand: the server can listen only while it is connected");
  if (idleSeconds !== undefined && !onDemand) refuse("idleSeconds is for forwards that are on demand");
  if (timeoutSeconds !== undefined && !wait) refuse("there is no timeout where nobody waits");
}
