// Connection options as arguments of ssh(1).
import type { ConnectionOptions } from "../../shared/records.ts";

/** A value as one word of ssh_config(5). */
export const quoted = (value: string): string => `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`;

/** The arguments of ssh(1) that these connection options stand for. */
export function sshArguments(options: ConnectionOptions, configFile: string | null): string[] {
  const file = options.configFile ?? configFile;
  return [
    ...(file === null ? [] : ["-F", file]),
    ...(options.options ?? []).flatMap((option) => ["-o", option]),
    ...(options.port === undefined ? [] : ["-p", String(options.port)]),
    ...(options.user === undefined ? [] : ["-l", options.user]),
    ...(options.identityFiles ?? []).flatMap((path) => ["-i", path]),
    ...(options.jump === undefined ? [] : ["-J", options.jump]),
    ...(options.controlPath === undefined ? [] : ["-S", options.controlPath]),
    ...(options.addressFamily === undefined ? [] : [options.addressFamily === "inet" ? "-4" : "-6"]),
  ];
}
