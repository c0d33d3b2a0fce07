// Which keys to offer, in ssh's order: agent keys that a configured file names, other agent keys, then the files alone.
import { readFile } from "node:fs/promises";
import { type AnyAuthMethod, type ParsedKey, utils } from "ssh2";
import type { Clock } from "../../shared/clock.ts";
import { errnoOf, messageOf } from "../../shared/errors.ts";
import { agentKeys, OneKeyAgent } from "./agent.ts";
import { fingerprint } from "./host-key.ts";
import type { HostConfig } from "./host-config.ts";

/** One try at publickey authentication (RFC 4252 section 7). */
export interface Offer {
  /** for people: which key, and from where */
  label: string;
  method: AnyAuthMethod;
}

export interface Identities {
  offers: Offer[];
  /** what could not be offered, and why: told when authentication fails */
  skipped: string[];
}

interface IdentityFile {
  path: string;
  /** the public key's blob; null when only a passphrase would tell */
  blob: Buffer | null;
  privateKey: ParsedKey | null;
  problem: string | null;
}

/** Gathers what to offer. Never throws: an unusable key or agent is told in `skipped` and the others are tried. */
export async function gatherIdentities(config: HostConfig, clock: Clock): Promise<Identities> {
  if (!config.publicKeyAllowed) return { offers: [], skipped: ["any key: PubkeyAuthentication is off"] };
  const { agent, user } = config;
  const skipped: string[] = [];
  const files = (await Promise.all(config.identityFiles.map(readIdentityFile))).filter(
    (file) => file !== null,
  );
  let held: ParsedKey[] = [];
  if (agent !== null)
    held = await agentKeys(agent, clock).catch((error: unknown) => {
      skipped.push(`agent ${agent}: ${messageOf(error)}`);
      return [];
    });

  const isHeld = (file: IdentityFile) => held.find((key) => file.blob?.equals(key.getPublicSSH()));
  const isNamed = (key: ParsedKey) => files.some((file) => file.blob?.equals(key.getPublicSSH()));
  const named = files.map(isHeld).filter((key) => key !== undefined);
  const others = config.identitiesOnly ? [] : held.filter((key) => !isNamed(key));
  const fromAgent = [...new Set([...named, ...others])].map((key) => agentOffer(key, { user, agent, clock }));
  const rest = files.filter((file) => isHeld(file) === undefined);
  for (const file of rest) if (file.problem !== null) skipped.push(`${file.path}: ${file.problem}`);
  const fromFiles = rest.flatMap((file) => fileOffer(file, user));
  return { offers: [...fromAgent, ...fromFiles], skipped };
}

function agentOffer(
  key: ParsedKey,
  { user, agent, clock }: { user: string; agent: string | null; clock: Clock },
): Offer {
  const label = `agent key ${key.comment || "without comment"} (${fingerprint(key.getPublicSSH())})`;
  return {
    label,
    method: { type: "agent", username: user, agent: new OneKeyAgent(agent ?? "", key, clock) },
  };
}

const fileOffer = (file: IdentityFile, user: string): Offer[] =>
  file.privateKey === null
    ? []
    : [
        {
          label: `${file.path} (${fingerprint(file.privateKey.getPublicSSH())})`,
          method: { type: "publickey", username: user, key: file.privateKey },
        },
      ];

// A missing file is no news: ssh's defaults name seven, and most people have one.
async function readIdentityFile(path: string): Promise<IdentityFile | null> {
  const content = await read(path);
  const beside = await publicKeyBeside(path);
  if (content instanceof Error)
    return content.message === "missing" && beside === null
      ? null
      : { path, blob: beside, privateKey: null, problem: content.message };
  const parsed: ParsedKey | ParsedKey[] | Error = utils.parseKey(content);
  if (parsed instanceof Error) {
    const problem = /passphrase/.test(parsed.message)
      ? "needs a passphrase, which tund cannot ask for yet: add the key to an agent with ssh-add"
      : parsed.message;
    return { path, blob: beside, privateKey: null, problem };
  }
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined) return null;
  const blob = key.getPublicSSH();
  if (key.isPrivateKey()) return { path, blob, privateKey: key, problem: null };
  return {
    path,
    blob,
    privateKey: null,
    problem: "is a public key, and the agent does not hold its private half",
  };
}

const read = (path: string): Promise<Buffer | Error> =>
  readFile(path).catch(
    (error: unknown) => new Error(errnoOf(error) === "ENOENT" ? "missing" : messageOf(error)),
  );

async function publicKeyBeside(path: string): Promise<Buffer | null> {
  const content = await read(`${path}.pub`);
  if (content instanceof Error) return null;
  const key: ParsedKey | ParsedKey[] | Error = utils.parseKey(content);
  if (key instanceof Error) return null;
  return (Array.isArray(key) ? key[0] : key)?.getPublicSSH() ?? null;
}
