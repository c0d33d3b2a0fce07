// What the daemon finds of itself: its directories, its ciphers, its versions.
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf } from "../shared/errors.ts";
import type { Finding } from "../shared/logins.ts";

export interface Self {
  socket: string;
  stateDir: string;
  version: string;
  node: string;
  nativeCrypto: boolean;
  /** whether our own compiled file is there */
  isNative: boolean;
}

/** Looks at them. Never throws. */
export async function selfCheck({
  socket,
  stateDir,
  version,
  node,
  nativeCrypto,
  isNative,
}: Self): Promise<Finding[]> {
  return [
    { subject: "tund", level: "ok", message: `${version} on Node ${node}`, next: null },
    await privacyOf("socket", dirname(socket)),
    await privacyOf("state", stateDir),
    nativeCrypto
      ? { subject: "ciphers", level: "ok", message: "compiled", next: null }
      : {
          subject: "ciphers",
          level: "note",
          message: "ssh2's compiled ciphers are missing: forwards cost about twice the CPU",
          next: "install python3, make and g++, and then tunctl again",
        },
    isNative
      ? {
          subject: "native",
          level: "ok",
          message: "peers are checked, and systemd keeps listeners",
          next: null,
        }
      : {
          subject: "native",
          level: "note",
          message:
            "no compiled file for this machine: peers are not checked beyond the socket's mode, and a restart closes listeners",
          next: "build tunctl where there is a C compiler (npm run build)",
        },
  ];
}

async function privacyOf(subject: string, directory: string): Promise<Finding> {
  try {
    const { mode, uid } = await stat(directory);
    const shown = (mode & 0o777).toString(8).padStart(4, "0");
    if (uid !== process.getuid?.())
      return {
        subject,
        level: "problem",
        message: `${directory} belongs to somebody else`,
        next: "choose another",
      };
    return (mode & 0o077) === 0
      ? { subject, level: "ok", message: `${directory} is private (${shown})`, next: null }
      : {
          subject,
          level: "problem",
          message: `${directory} is open to others (${shown})`,
          next: `chmod 700 ${directory}`,
        };
  } catch (error) {
    return { subject, level: "problem", message: messageOf(error), next: `make ${directory}` };
  }
}
