// What tund stands on and a bare machine or a container may lack: OpenSSH's programs, an account, somebody who reaps orphans.
import { note, ok, problem } from "../shared/finding.ts";
import type { Finding } from "../shared/logins.ts";
import { missingPrograms } from "./programs.ts";
import { withoutAccount } from "./ssh/ask-ssh.ts";

export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  uid: number;
  /** whether passwd(5) knows the uid */
  hasAccount: boolean;
  pid: number;
  /** whether our own compiled file is there */
  isNative: boolean;
}

const INSTALL = "install OpenSSH's client, or set PATH for tund";

/** Looks around. What is a problem keeps every host from being connected, and a start tells it too. Never throws. */
export async function lookAround(surroundings: Surroundings): Promise<Finding[]> {
  const names = ["ssh", "ssh-keygen", "ssh-add", "ssh-agent"];
  const missing = await missingPrograms(surroundings.env, names);
  return [
    ...sshFindings(missing, surroundings),
    ...accountFindings(surroundings),
    identityFinding(missing.filter((name) => name === "ssh-add" || name === "ssh-agent")),
    ...orphanFindings(surroundings),
  ];
}

function sshFindings(missing: readonly string[], { env }: Surroundings): Finding[] {
  if (missing.includes("ssh")) {
    const where = env["PATH"] === undefined ? "and PATH is not set" : `which is ${env["PATH"]}`;
    const message = `there is no ssh on tund's PATH, ${where}: no host can be connected, since 'ssh -G' says what ssh_config means`;
    return [problem("ssh", message, INSTALL)];
  }
  if (!missing.includes("ssh-keygen")) return [ok("ssh", "OpenSSH's client is on PATH")];
  const message =
    "there is no ssh-keygen on tund's PATH: hosts whose RevokedHostKeys is a key revocation list (KRL) are refused";
  return [note("ssh", message, INSTALL)];
}

function accountFindings({ uid, hasAccount }: Surroundings): Finding[] {
  if (hasAccount) return [];
  const message = `uid ${uid} has no entry in passwd: ssh does not run for it, and no host can be connected`;
  return [problem("account", message, withoutAccount(uid))];
}

function identityFinding(missing: readonly string[]): Finding {
  if (missing.length === 0)
    return ok("identities", "ssh-add opens those that have a passphrase, in an agent of tund's own");
  const message = `there is no ${missing.join(" and no ")} on tund's PATH: those that have a passphrase take longer to open, and are held in tund's memory meanwhile`;
  return note("identities", message, INSTALL);
}

// Whatever a ProxyCommand or Match exec leaves behind becomes PID 1's child, and stays in the table of processes until that reaps it.
function orphanFindings({ pid, isNative }: Surroundings): Finding[] {
  if (pid !== 1) return [];
  if (isNative) return [ok("orphans", "tund is PID 1, and reaps what other programs leave behind")];
  const message = "tund is PID 1, and without its compiled file cannot reap what other programs leave behind";
  return [note("orphans", message, "put an init before it ('docker run --init', tini)")];
}
