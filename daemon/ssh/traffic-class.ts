// IPQoS of ssh_config(5): Node has no call for the DS field of what a socket sends, and the compiled file has.
import { Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import { descriptorOf, type Native } from "../../shared/native/load.ts";
import type { HostConfig } from "./host-config.ts";
import type { Wire } from "./wire.ts";

/** Sets it where it was chosen, and the link is a socket of its own. Gives what a person should know: why it could not be. */
export function setTrafficClass(wire: Wire, { host, link }: HostConfig, native: Native | null): string[] {
  const { trafficClass } = link;
  const fd = wire instanceof Socket ? descriptorOf(wire) : undefined;
  if (trafficClass === null || fd === undefined) return [];
  if (native === null)
    return [`IPQoS of ${host} is not obeyed: the compiled file is missing (see 'tunctl doctor')`];
  const errno = native.setTrafficClass(fd, trafficClass);
  return errno === 0 ? [] : [`IPQoS of ${host} could not be set: ${getSystemErrorName(errno)}`];
}
