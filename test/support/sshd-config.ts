// The sshd_config of a server for tests.
import { join } from "node:path";
import type { Key } from "./ssh-key.ts";

export interface ServerFiles {
  directory: string;
  hostKeys: readonly Key[];
  port: number;
  host: string;
}

/** Its lines: the `extra` ones first, since the first value of a keyword is the one that counts, but for Match blocks. */
export function serverConfig(
  { directory, hostKeys, port, host }: ServerFiles,
  extra: readonly string[],
): string[] {
  const firstMatch = extra.findIndex((line) => /^\s*match\b/i.test(line));
  const conditional = firstMatch === -1 ? extra.length : firstMatch;
  return [
    ...extra.slice(0, conditional),
    `ListenAddress ${host}:${port}`,
    ...hostKeys.map((key) => `HostKey ${key.path}`),
    `AuthorizedKeysFile ${join(directory, "authorized_keys")}`,
    "PidFile none",
    "StrictModes no", // the files are in a temporary directory
    "UsePAM no", // a user's sshd may not speak to PAM
    "PermitRootLogin yes",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PrintMotd no",
    "PrintLastLog no",
    "UseDNS no",
    "LogLevel VERBOSE",
    "MaxStartups 1000", // tests connect in crowds
    ...extra.slice(conditional),
  ];
}
