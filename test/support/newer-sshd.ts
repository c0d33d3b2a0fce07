// A newer OpenSSH than the machine's, where somebody has unpacked one: TUND_TEST_OPENSSH names the directory.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { SshdOptions } from "./sshd.ts";

export interface NewerOpenSsh {
  /** how to start its sshd */
  server: (config?: readonly string[]) => SshdOptions;
  /** its client */
  ssh: string;
}

/** Gives it, or why there is none. */
export function newerOpenSsh(): NewerOpenSsh | string {
  const directory = process.env["TUND_TEST_OPENSSH"];
  if (directory === undefined) return "TUND_TEST_OPENSSH names no directory with a newer OpenSSH in it";
  const program = join(directory, "usr/sbin/sshd");
  if (!existsSync(program)) return `there is no ${program}`;
  const paths = ["sshd-session", "sshd-auth"].map((name) => join(directory, "usr/lib/openssh", name));
  return {
    server: (config = []) => ({
      program,
      config: [`SshdSessionPath ${paths[0]}`, `SshdAuthPath ${paths[1]}`, ...config],
    }),
    ssh: join(directory, "usr/bin/ssh"),
  };
}
