// Which keys to offer, in ssh's order (sshconnect2.c, pubkey_prepare): certificates of CertificateFile, agent keys that a
// configured file names, other agent keys, then the files alone.
import { clipped } from "../../shared/clipped.ts";
import type { Clock } from "../../shared/clock.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import type { FileError, Files } from "../files.ts";
import { Agent, SilentAgent } from "./agent.ts";
import { type Caller, unanswered } from "./caller.ts";
import type { HostConfig } from "./host-config.ts";
import { isCertificateType } from "./certificate.ts";
import { fingerprint, keyType } from "./host-key.ts";
import { bareKey, type LockedOffer, type Offer, shownKey, type Sign, signatureAlgorithmOf } from "./offer.ts";
import type { KeyRing, KeyToOpen, OpenKey } from "./key-ring.ts";
import { rsaBits } from "./public-key.ts";
import { type KeyFile, publicKeyIn, readKeyFile, signWith, WrongPassphrase } from "./private-key.ts";

export interface Identities {
  offers: (Offer | LockedOffer)[];
  /** what could not be offered, and why: told when authentication fails */
  skipped: string[];
  /** whether a file did not answer: what it holds may be of use another time */
  stalled: boolean;
  /** an agent that had not told its keys when it was waited for no longer: a person may be asked to unlock it */
  silent: string | null;
  /** the agent that was asked, for as long as the login takes; null where there is none */
  agent: Agent | null;
  /** To be called when the login has ended: what was opened for it is closed, unless it is to be remembered. */
  close(): void;
}

export interface IdentityOptions {
  config: HostConfig;
  caller: Caller;
  files: Files;
  clock: Clock;
  /** what opens those that have a passphrase; null where nobody is asked for one */
  keyRing: KeyRing | null;
  /** ends the waiting for an agent */
  signal: AbortSignal;
}

// How long an agent is waited for that does not tell its keys, where there is something to log in with without it: somebody may
// have to unlock it. Where nobody is asked anything, and where there is nothing else.
const UNLOCKING_MS = 60_000;
const NOBODY_ASKED_MS = 5000;

/** A key or certificate that could be offered. */
interface Candidate {
  label: string;
  /** empty where only a passphrase would tell */
  blob: Buffer;
  sign: Sign | null;
  /** where only a passphrase would tell its public half */
  open?: () => Promise<Offer>;
}

/**
 * Gathers what to offer. An unusable key or agent is told in `skipped` and the others are tried.
 * @throws what `signal` was aborted with, and nothing else
 */
export async function gatherIdentities(options: IdentityOptions): Promise<Identities> {
  const { config, caller, keyRing, files: reader } = options;
  const opening = new Opening(config, caller, keyRing);
  if (!config.publicKeyAllowed) {
    const skipped = ["any key: PubkeyAuthentication is off"];
    return { offers: [], skipped, stalled: false, silent: null, agent: null, close: () => undefined };
  }
  const skipped: string[] = [];
  const read = await Promise.all(config.identityFiles.map((path) => readKeyFile(path, reader)));
  const files = read.filter((file) => file !== null);
  const canDoWithout = files.some(({ privateKey }) => privateKey !== null);
  const { agent, held, silent } = await openAgent(options, skipped, canDoWithout);
  const fileKeys = files.map((file) => candidateOf(file, opening));
  const problems: FileError[] = [];
  const certificate = (path: string) =>
    publicKeyIn(path, reader).catch((error: FileError) => void problems.push(error));
  const fromFiles = await withCertificates(
    fileKeys,
    files,
    config.certificateFiles.length > 0 ? null : certificate,
  );
  const explicit = await certificatesOf(config, certificate, skipped);
  skipped.push(...problems.map(({ message }) => message));
  const stalled = [...files, ...problems].some(({ isStalled }) => isStalled);

  const named = held.filter((key) => fromFiles.some(isSame(key)));
  const others = config.identitiesOnly ? [] : held.filter((key) => !named.includes(key));
  const rest = fromFiles.filter((key) => !named.some(isSame(key)));
  const signers = [...held, ...fileKeys];
  const all = [...explicit, ...named, ...others, ...rest].map((one) => ({
    ...one,
    sign: one.sign ?? signerOf(one.blob, signers),
  }));
  const seen = new Set<string>();
  for (const [index, file] of files.entries()) {
    const signs = signerOf(fileKeys[index]?.blob ?? Buffer.alloc(0), signers) !== null;
    if (file.problem !== null && !signs) skipped.push(`${file.path}: ${file.problem}`);
  }
  const offers = all.flatMap(({ label, blob, sign, open }): Identities["offers"] => {
    if (open !== undefined) return [{ label, open }];
    const isNew = !seen.has(blob.toString("base64"));
    seen.add(blob.toString("base64"));
    if (sign === null || blob.length === 0 || !isNew) return [];
    const short = tooShort(blob, config.requiredRsaSize);
    if (short !== null) skipped.push(`${label}: ${short}`);
    return short === null ? [{ label, blob, sign }] : [];
  });
  const close = () => {
    agent?.close();
    opening.end();
  };
  return { offers, skipped, stalled, silent, agent, close };
}

/** The certificate, or other public key, in a file; null: there is none, undefined: it could not be read, which is told of. */
type CertificateIn = (path: string) => Promise<Buffer | null | undefined>;

function tooShort(blob: Buffer, leastBits: number): string | null {
  const bits = rsaBits(bareKey(blob));
  return bits === null || bits >= leastBits
    ? null
    : `it has ${bits} bits, and RequiredRSASize wants ${leastBits}`;
}

const isSame = (one: Candidate) => (other: Candidate) => one.blob.equals(other.blob);

// Whoever holds the private half of a certificate's key.
function signerOf(blob: Buffer, signers: readonly Candidate[]): Sign | null {
  const bare = bareKey(blob);
  return signers.find((signer) => signer.sign !== null && bareKey(signer.blob).equals(bare))?.sign ?? null;
}

/** The daemon's agent, or a caller's where it has none or that one does not answer. */
async function openAgent(
  { config, caller, files, clock, keyRing, signal }: IdentityOptions,
  skipped: string[],
  canDoWithout: boolean,
): Promise<{ agent: Agent | null; held: Candidate[]; silent: string | null }> {
  const { path: own, isFixed } = config.agent;
  const paths = new Set([own, ...(isFixed ? [] : caller.agents)].filter((path) => path !== null));
  const patience = canDoWithout || paths.size > 1 ? UNLOCKING_MS : Infinity;
  const limits = { answerMs: keyRing === null ? NOBODY_ASKED_MS : patience, signMs: Infinity };
  let silent: string | null = null;
  for (const path of paths) {
    let agent: Agent | undefined;
    const stop = () => agent?.close();
    signal.addEventListener("abort", stop, { once: true });
    try {
      // connect() looks it up on the event loop: a directory that does not answer must not have everybody wait.
      await files.exists(path);
      signal.throwIfAborted();
      agent = new Agent(path, clock, limits);
      const asked = agent;
      const keys = await asked.keys();
      const held = keys.map(({ blob, comment }) => ({
        label: `agent key ${clipped(comment, 200) || "without comment"} (${shownKey(blob)})`,
        blob,
        sign: agentSigner(asked, blob, caller),
      }));
      return { agent: asked, held, silent };
    } catch (error) {
      agent?.close();
      signal.throwIfAborted();
      if (error instanceof SilentAgent) silent ??= path;
      skipped.push(`agent ${path}: ${messageOf(error)}`);
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
  return { agent: null, held: [], silent };
}

const agentSigner =
  (agent: Agent, blob: Buffer, caller: Caller): Sign =>
  (data, algorithm) => {
    if (keyType(blob)?.startsWith("sk-")) caller.tell(`Confirm user presence for key ${shownKey(blob)}`);
    return agent.sign(blob, data, algorithm);
  };

function candidateOf(file: KeyFile, opening: Opening): Candidate {
  const { path, privateKey, isEncrypted } = file;
  const blob = file.blob ?? Buffer.alloc(0);
  const label = `${path}${blob.length === 0 ? "" : ` (${fingerprint(blob)})`}`;
  if (privateKey !== null)
    return { label, blob, sign: (data, name) => signWith(privateKey, data, signatureAlgorithmOf(name)) };
  if (!isEncrypted) return { label, blob, sign: null };
  let opened: Promise<OpenKey> | undefined;
  const open = () => (opened ??= opening.open({ path, blob: file.blob }));
  const sign: Sign = async (data, name) => (await open()).sign(data, signatureAlgorithmOf(name));
  if (file.blob !== null) return { label, blob, sign };
  const offered = async (): Promise<Offer> => {
    const { blob: known } = await open();
    return { label: `${path} (${fingerprint(known)})`, blob: known, sign };
  };
  return { label, blob, sign: null, open: offered };
}

/** What one login opens with passphrases, and lets go at its end. */
class Opening {
  readonly #config: HostConfig;
  readonly #caller: Caller;
  readonly #keyRing: KeyRing | null;
  readonly #held: OpenKey[] = [];
  readonly #over = new AbortController();

  constructor(config: HostConfig, caller: Caller, keyRing: KeyRing | null) {
    this.#config = config;
    this.#caller = caller;
    this.#keyRing = keyRing;
  }

  /** Asks for a passphrase, as often as ssh does. @throws TundError PROMPT_UNANSWERED; Error when none was right */
  async open(file: KeyToOpen): Promise<OpenKey> {
    const caller = this.#caller;
    const { path } = file;
    const memo = `passphrase ${path}`;
    const kept = caller.keptKey(memo);
    if (kept !== undefined) {
      if (await kept.isThere()) return kept;
      caller.forget(memo);
    }
    if (!caller.isPresent) throw unanswered(`the passphrase of ${path}`);
    for (let tries = 0; tries < this.#config.numberOfPasswordPrompts; tries++) {
      const [first, again] = [
        `Enter passphrase for key '${path}': `,
        `Bad passphrase, try again for ${path}: `,
      ];
      const passphrase = await caller.ask({
        kind: "passphrase",
        instructions: null,
        text: tries === 0 ? first : again,
        echo: false,
        memo,
      });
      if (passphrase === "") break; // "no passphrase given, try next key"
      try {
        return await this.#openWith(file, passphrase, memo);
      } catch (error) {
        caller.forget(memo);
        if (!(error instanceof WrongPassphrase)) throw error;
      }
    }
    throw new TundError("AUTH_FAILED", "no passphrase that opens it was given");
  }

  end(): void {
    this.#over.abort();
    for (const key of this.#held.splice(0)) key.release();
  }

  async #openWith(file: KeyToOpen, passphrase: string, memo: string): Promise<OpenKey> {
    const ring = this.#keyRing;
    if (ring === null) throw new Error("nothing opens it here");
    const key = await ring.open(file, passphrase, this.#over.signal);
    if (this.#over.signal.aborted) {
      key.release();
      throw new Error("the login is over");
    }
    // What is remembered is the open key: the passphrase is not needed again.
    if (!this.#caller.keepKey(memo, key)) this.#held.push(key);
    return key;
  }
}

// `<file>-cert.pub` goes right behind its key, unless CertificateFile is set.
async function withCertificates(
  keys: readonly Candidate[],
  files: readonly KeyFile[],
  certificateIn: CertificateIn | null,
): Promise<Candidate[]> {
  const all = keys.map(async (key, index): Promise<Candidate[]> => {
    const path = files[index]?.path ?? "";
    const blob = (await certificateIn?.(`${path}-cert.pub`)) ?? null;
    return isUserCertificate(blob)
      ? [key, { label: `${path}-cert.pub (${shownKey(blob)})`, blob, sign: null }]
      : [key];
  });
  return (await Promise.all(all)).flat();
}

async function certificatesOf(
  config: HostConfig,
  certificateIn: CertificateIn,
  skipped: string[],
): Promise<Candidate[]> {
  const all = config.certificateFiles.map(async (path): Promise<Candidate[]> => {
    const blob = await certificateIn(path);
    if (blob === undefined) return [];
    if (isUserCertificate(blob)) return [{ label: `${path} (${shownKey(blob)})`, blob, sign: null }];
    skipped.push(`${path}: it is no certificate`);
    return [];
  });
  return (await Promise.all(all)).flat();
}

const isUserCertificate = (blob: Buffer | null): blob is Buffer =>
  blob !== null && isCertificateType(keyType(blob) ?? "");
