// `ssh -G`: what ssh_config means, in ssh's own words.
import { clipped } from "../../shared/clipped.ts";
import { errnoOf, messageOf, TundError } from "../../shared/errors.ts";
import { MOST_SAID } from "./said.ts";
import { NotRun, runTool, type ToolOptions } from "./tool.ts";

const DEADLINE_MS = 20_000; // Match exec and canonicalization may wait for the network
const MOST_PRINTED_BYTES = 1 << 20;
const MOST_NAME = 200; // characters of a path that ssh tells (readconf.c)

/** What ssh answers. */
export interface SshAnswer {
  /** the settings, a line each */
  printed: string;
  /** the configuration files that it read; null where it did not tell all of them */
  read: readonly string[] | null;
  /** whether it ran programs to find out: Match exec */
  ranPrograms: boolean;
}

/**
 * Runs `ssh -G` with these arguments, the last of which is the host, within 20 s; with -N, since there are no sessions: without
 * it ssh refuses ForkAfterAuthentication. What Match exec has started is ended with it.
 * @throws TundError HOST_CONFIG_FAILED with ssh's own words, SSH_NOT_FOUND; what `signal` was aborted with
 */
export async function askSsh(
  args: readonly string[],
  running: Pick<ToolOptions, "children" | "clock" | "signal" | "onGone" | "env">,
): Promise<SshAnswer> {
  const what = `ssh cannot resolve '${args.at(-1)}'`;
  const options = { what, deadlineMs: DEADLINE_MS, mostPrinted: MOST_PRINTED_BYTES, ...running };
  try {
    // What Match exec has left behind may hold stderr open; it is not waited for.
    const isEnough = (said: string): boolean => ranPrograms(said);
    // -v for the names of the files alone.
    const { code, stdout, stderr, saidAll } = await runTool("ssh", ["-N", "-T", "-v", "-G", ...args], {
      ...options,
      isEnough,
    });
    if (code !== 0) throw new Error(`${what}: ${complaint(stderr)}`);
    return { printed: stdout, read: saidAll ? filesRead(stderr) : null, ranPrograms: ranPrograms(stderr) };
  } catch (error) {
    running.signal.throwIfAborted();
    throw failure(what, error);
  }
}

const ranPrograms = (said: string): boolean => /^debug1: Executing command: /m.test(said);

function filesRead(said: string): string[] | null {
  const files = [...said.matchAll(/^debug1: Reading configuration data (.*)$/gm)].map(
    ([, file = ""]) => file,
  );
  return files.every((file) => file.startsWith("/") && file.length < MOST_NAME) ? files : null;
}

function failure(what: string, error: unknown): TundError {
  if (!(error instanceof NotRun))
    return new TundError("HOST_CONFIG_FAILED", messageOf(error), { cause: error });
  if (errnoOf(error.cause) !== "ENOENT")
    return new TundError("HOST_CONFIG_FAILED", `${what}: ${error.message}`, { cause: error });
  return new TundError(
    "SSH_NOT_FOUND",
    "there is no ssh on PATH, and tund asks 'ssh -G' what ssh_config means: install the OpenSSH client",
  );
}

// What -v says, and what has never been a reason.
const ASIDE = /^(?:debug1: |OpenSSH_|Warning:)/;

function complaint(stderr: string): string {
  const lines = stderr.split(/\r?\n/).filter((line) => line !== "" && !ASIDE.test(line));
  const said = clipped(lines.join("; "), MOST_SAID) || "it gave no reason";
  const [, uid] = /^No user exists for uid (\d+)$/.exec(said) ?? [];
  return uid === undefined ? said : `${said}: ${withoutAccount(uid)}`;
}

/** What helps where ssh does not run, since the uid has no entry in passwd. */
export const withoutAccount = (uid: number | string): string =>
  `add a line for uid ${uid} to /etc/passwd, or start tund with nss_wrapper (LD_PRELOAD, NSS_WRAPPER_PASSWD, NSS_WRAPPER_GROUP)`;
