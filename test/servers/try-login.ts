// One login to a server, by ssh and by tund.
import type { Tund } from "../support/daemon.ts";
import { run } from "../support/run.ts";
import type { Peer } from "./peers.ts";
import type { Verdict } from "./verdict.ts";

/** How to log in, and with what answers at hand. */
export interface Login {
  peer: Peer;
  tund: Tund;
  host: string;
  env: Readonly<Record<string, string>>;
}

/** By ssh and by tund at the same time: a program that answers questions has an answer for each. */
export async function byBoth({ peer, tund, host, env }: Login): Promise<{ ssh: Verdict; tund: Verdict }> {
  const args = ["-F", peer.sshConfig, "-v", "-o", "NumberOfPasswordPrompts=1", host, "true"];
  const [theirs, ours] = await Promise.all([
    run("ssh", args, { env: { ...process.env, ...env } }),
    tund.tunctl(["connect", host], { env }),
  ]);
  if (ours.code === 0) await tund.tunctl(["exit", host]);
  const isIn = theirs.stderr.includes("Authenticated to 127.0.0.1");
  const why = ours.stderr.trim().replace(/^tunctl: /, "");
  return {
    ssh: isIn ? { works: true } : { works: false, why: lastLine(theirs.stderr), isTold: true },
    tund: ours.code === 0 ? { works: true } : { works: false, why, isTold: why !== "" },
  };
}

const lastLine = (text: string): string => text.trim().split(/\r?\n/).at(-1) ?? "";
