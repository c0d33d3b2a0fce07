// One case tried: by the real ssh, and by tund, each with a known_hosts file of its own.
import { readFile } from "node:fs/promises";
import { call, obligingConversation } from "../hostile/http.ts";
import type { Tund } from "../support/daemon.ts";
import { run } from "../support/run.ts";
import type { Case } from "./axes.ts";
import { linesOf, type Materials } from "./materials.ts";
import { hostOf } from "./servers.ts";

/** What came of it. */
export interface Verdict {
  /** whether the server was taken for the host */
  isTaken: boolean;
  /** the keys that were recorded, as `NAME TYPE BASE64` */
  recorded: readonly string[];
  /** what was said of it */
  said: string;
}

export interface Tries {
  ssh: Verdict;
  tund: Verdict;
}

export interface World {
  materials: Materials;
  tund: Tund;
  /** a program that says yes, and one that says no, for SSH_ASKPASS */
  askpass: Readonly<Record<string, string>>;
}

// Methods of a login that no server has: a host key that is taken ends in a refusal, and nobody has to log in.
const noLogin = "PreferredAuthentications=none";

/** Tries a case. @param byTunctl whether tund is asked by the real tunctl @throws Error when one of them fails otherwise */
export async function tryCase(
  one: Case,
  { number, byTunctl }: { number: number; byTunctl: boolean },
  world: World,
): Promise<Tries> {
  const { materials } = world;
  const lines = linesOf(one.known, one.shown, materials);
  const options = await optionsOf(one, materials);
  const [ours, theirs] = await Promise.all([materials.file(lines), materials.file(lines)]);
  // A number of its own: hosts that are configured alike would share one connection, and its verdict.
  const full = [...options, `ServerAliveInterval=${1000 + number}`];
  const withFile = (file: string) => (hasFile(one) ? full : [...full, `UserKnownHostsFile=${file}`]);
  const asked = { host: `h${number}.${hostOf(one.shown)}`, answer: answerOf(one) };
  const [ssh, tund] = await Promise.all([
    bySsh({ ...asked, options: withFile(theirs) }, world),
    (byTunctl ? throughTunctl : byTund)({ ...asked, options: withFile(ours) }, world),
  ]);
  return {
    ssh: { ...ssh, recorded: await recordedIn(theirs, lines) },
    tund: { ...tund, recorded: await recordedIn(ours, lines) },
  };
}

const hasFile = ({ more = [] }: Case): boolean =>
  more.some((option) => option.startsWith("UserKnownHostsFile="));

/** `yes`, `no`; null where nobody is there to answer. */
const answerOf = ({ strict }: Case): string | null => /^ask: (yes|no)$/.exec(strict)?.[1] ?? null;

async function optionsOf(one: Case, materials: Materials): Promise<string[]> {
  const { shown, strict, list, command, more = [] } = one;
  return [
    noLogin,
    `StrictHostKeyChecking=${strict.replace(/:.*/, "")}`,
    ...(list === undefined ? [] : [`RevokedHostKeys=${await materials.list(list, shown)}`]),
    ...(command === undefined ? [] : [`KnownHostsCommand=${await materials.command(command, shown)}`]),
    ...more,
  ];
}

interface Asked {
  host: string;
  options: readonly string[];
  answer: string | null;
}

type Said = Pick<Verdict, "isTaken" | "said">;

async function bySsh({ host, options, answer }: Asked, { materials, askpass }: World): Promise<Said> {
  const batch = answer === null ? ["BatchMode=yes"] : [];
  const args = [...options, ...batch].flatMap((option) => ["-o", option]);
  const env = {
    PATH: process.env["PATH"],
    SSH_ASKPASS_REQUIRE: "force",
    SSH_ASKPASS: askpass[answer ?? "no"],
    DISPLAY: ":0",
  };
  const { stderr } = await run("ssh", ["-F", materials.sshConfig, ...args, host, "true"], { env });
  if (/Permission denied \(|No more authentication methods/.test(stderr))
    return { isTaken: true, said: stderr };
  const isRefused =
    /Host key verification failed|KnownHostsCommand failed|Bad server host key|no matching host key type/.test(
      stderr,
    );
  if (!isRefused) throw new Error(`ssh failed otherwise: ${stderr}`);
  return { isTaken: false, said: stderr };
}

const refusals = new Set([
  "HOST_KEY_UNKNOWN",
  "HOST_KEY_CHANGED",
  "HOST_KEY_REVOKED",
  "HOST_CONFIG_FAILED",
  "KEX_FAILED",
]);

async function byTund({ host, options, answer }: Asked, { tund }: World): Promise<Said> {
  const conversation = answer === null ? null : await obligingConversation(tund.socket, answer);
  try {
    const caller = conversation === null ? {} : { caller: { conversation: conversation.id } };
    const body = { connection: { options }, ...caller };
    const { text } = await call(tund.socket, "PUT", `/v1/masters/${encodeURIComponent(host)}`, body);
    const { code = "", message = text } = JSON.parse(text) as { code?: string; message?: string };
    if (code !== "AUTH_FAILED" && !refusals.has(code)) throw new Error(`tund failed otherwise: ${text}`);
    return { isTaken: code === "AUTH_FAILED", said: message };
  } finally {
    conversation?.socket.destroy();
  }
}

async function throughTunctl({ host, options, answer }: Asked, { tund, askpass }: World): Promise<Said> {
  const asking = { SSH_ASKPASS_REQUIRE: "force", SSH_ASKPASS: askpass[answer ?? ""], DISPLAY: ":0" };
  const args = ["connect", ...options.flatMap((option) => ["-o", option]), host];
  const { code, stderr } = await tund.tunctl(args, answer === null ? {} : { env: asking });
  if (code === 7) return { isTaken: true, said: stderr };
  if (code !== 6 && code !== 1) throw new Error(`tunctl ended with ${code}: ${stderr}`);
  return { isTaken: false, said: stderr };
}

/** The keys that were not there before; names that stand in one line as lines of their own, hashes as what they are. */
async function recordedIn(file: string, before: readonly string[]): Promise<string[]> {
  const lines = (await readFile(file, "utf8")).split("\n");
  return lines
    .filter((line) => line !== "" && !before.includes(line))
    .flatMap((line) => {
      const [names = "", ...key] = line.split(" ");
      return names.split(",").map((name) => [name.startsWith("|1|") ? "hashed" : name, ...key].join(" "));
    })
    .sort();
}
