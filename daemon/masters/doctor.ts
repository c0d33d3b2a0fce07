// What would happen if a host were connected now, and why: nothing secret is sent, and nothing is changed.
import { messageOf, TundError } from "../../shared/errors.ts";
import { note, ok, problem } from "../../shared/finding.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import type { Finding } from "../../shared/logins.ts";
import { offeredAlgorithms } from "../ssh/algorithms.ts";
import { nobody } from "../ssh/caller.ts";
import { type HostConfig, hostNameOf } from "../ssh/host-config.ts";
import { displayType, fingerprint } from "../ssh/host-key.ts";
import { gatherIdentities } from "../ssh/identities.ts";
import { isPostQuantum } from "../ssh/kex/hybrids.ts";
import { type KnownHost, recordName } from "../ssh/known-hosts.ts";
import {
  authorities,
  knownAlgorithms,
  revocation,
  shownPlace,
  type Verdict,
} from "../ssh/known-hosts-verdict.ts";
import { standingOf } from "./trust.ts";
import { type Halfway, halfwayText } from "../ssh/login-memory.ts";
import type { Outside } from "../ssh/outside.ts";
import { lookAt, type Probing, type Shown } from "../ssh/probe.ts";
import { listed } from "../ssh/said.ts";

export interface Examination extends Outside, Probing {
  /** sockets of whoever asks: their agents */
  agents: readonly string[];
}

/** Examines a host, from its configuration to what its server would want of a login. */
export async function examine(examination: Examination): Promise<Finding[]> {
  const { config, agents, files, clock, signal } = examination;
  const caller = { ...nobody, agents };
  const identities = await gatherIdentities({ config, caller, files, clock, keyRing: null, signal });
  identities.close();
  const { hosts, findings } = await knownHosts(examination);
  const offers = identities.offers.map(({ label }) => label);
  return [
    configFinding(config),
    ...wayFindings(config),
    identities.agent === null
      ? note("agent", "there is none", "start one, or set IdentityAgent, if your keys are in an agent")
      : ok("agent", `${identities.agent.path} answers`),
    ...offers.map((label) => ok("identity", label)),
    ...identities.skipped.map((text) => note("identity", `not offered: ${text}`)),
    ...findings,
    ...(await serverFindings(examination, hosts, offers.length)),
  ];
}

async function knownHosts({
  config,
  hostKeyFiles,
  hostKeyMemory,
}: Examination): Promise<{ hosts: KnownHost[]; findings: Finding[] }> {
  const next = "see that each is a file that can be read (UserKnownHostsFile, GlobalKnownHostsFile)";
  const name = hostNameOf(config);
  try {
    const { hosts, problems } = await hostKeyFiles.find(config.knownHostsFiles, name);
    const kept = hostKeyMemory.of({ file: config.userKnownHostsFile, name: recordName(name) });
    const findings = problems.map((text) => note("known hosts", text, next));
    return { hosts: [...hosts, ...kept], findings: [...findings, ...memoryFindings(config, kept)] };
  } catch (error) {
    return { hosts: [], findings: [problem("known hosts", messageOf(error), next)] };
  }
}

// Under yes, too, it is good to know why a host that was just connected is not known.
function memoryFindings(
  { host, userKnownHostsFile: file }: HostConfig,
  [first]: readonly KnownHost[],
): Finding[] {
  if (first === undefined) return [];
  const message = `a key was recorded in ${shownPlace(first)} alone, since ${file} could not be written`;
  return [
    problem("known hosts", message, `make the file one that can be written, then: tunctl trust ${host}`),
  ];
}

function configFinding({ host, user, hostname, port }: HostConfig): Finding {
  return ok("config", `${host} is ${user}@${formatAddress(hostname, port)}`);
}

function wayFindings({ way }: HostConfig): Finding[] {
  if (way.kind === "jump") return [ok("way", `by way of ${way.hop.name} (ProxyJump)`)];
  return way.kind === "command" ? [ok("way", `through ProxyCommand: ${way.command}`)] : [];
}

async function serverFindings(
  examination: Examination,
  known: readonly KnownHost[],
  offers: number,
): Promise<Finding[]> {
  const { config, kems, loginMemory } = examination;
  let shown: Shown;
  try {
    const means = { isAesFast: true, hybrids: await kems.offered() };
    shown = await lookAt(
      examination,
      offeredAlgorithms(config, knownAlgorithms(known, hostNameOf(config)), means),
    );
  } catch (error) {
    return [problem("server", messageOf(error), nextOf(error, config))];
  }
  return [
    ok("server", `${shown.server ?? "a server"} answers`),
    ...(shown.kex === null ? [] : [await kexFinding(examination, shown.kex)]),
    await hostKeyFinding(examination, known, shown.key),
    methodFinding(config, shown.methods, { offers, halfway: loginMemory.of(config) }),
  ];
}

const nexts: Partial<Record<TundError["code"], string>> = {
  HOST_UNREACHABLE: "see that HostName and Port are right, and that the network lets you through",
  CONNECT_TIMEOUT: "see that a firewall does not swallow it; ConnectTimeout says how long is waited",
  KEX_FAILED:
    "allow what the server offers (KexAlgorithms, Ciphers, MACs, HostKeyAlgorithms), or the reverse",
};

const nextOf = (error: unknown, { host }: HostConfig): string =>
  (error instanceof TundError ? nexts[error.code] : undefined) ?? `'ssh -v ${host}' may say more`;

async function kexFinding({ config, kems }: Examination, kex: string): Promise<Finding> {
  const subject = "key exchange";
  if (isPostQuantum(kex)) return ok(subject, `${kex}, which is post-quantum`);
  const message = `${kex} is not post-quantum: who records the connection may read it one day, with a quantum computer`;
  const absence = await kems.absence();
  if (absence !== null)
    return problem(subject, message, `tund cannot start what computes another: ${absence}`);
  if (!config.warnsOfWeakKex) return ok(subject, kex);
  return note(
    subject,
    message,
    "allow mlkem768x25519-sha256 (OpenSSH 9.9) or sntrup761x25519-sha512@openssh.com (OpenSSH 8.5) by KexAlgorithms, on both sides",
  );
}

async function hostKeyFinding(
  examination: Examination,
  known: readonly KnownHost[],
  key: Buffer,
): Promise<Finding> {
  const { config } = examination;
  const name = hostNameOf(config);
  const shown = `${displayType(key)} ${fingerprint(key)}`;
  let kind: Verdict["kind"];
  try {
    kind = await standingOf(key, known, examination);
  } catch (error) {
    return problem("host key", messageOf(error), "put the file right that RevokedHostKeys names");
  }
  switch (kind) {
    case "known":
      return ok("host key", `${shown} is known`);
    case "unknown":
      return authorities(known, name).some((one) => revocation(known, { ...name, keys: [one] }) === null)
        ? note("host key", `${shown} is not known, but its certificate may be`)
        : problem("host key", `${shown} is not known`, `tunctl trust ${config.host}`);
    case "changed":
      return problem(
        "host key",
        `${shown} is not the one that is known`,
        "find out why; if the host was set up anew, remove the old key with ssh-keygen -R",
      );
    case "revoked":
      return problem("host key", `${shown} is revoked`, "ask whoever runs the host");
  }
}

interface Means {
  /** how many keys there are */
  offers: number;
  /** how far the last login came */
  halfway: Halfway | undefined;
}

/** @param methods null where the server has not said so far: a login would wait for that, as long as it takes */
function methodFinding(
  config: HostConfig,
  methods: readonly string[] | null,
  { offers, halfway }: Means,
): Finding {
  const connect = `tunctl connect ${config.host}`;
  if (methods === null) {
    const next = `${connect}, which waits: somebody may have to let it in elsewhere (what the server says is shown)`;
    return note("authentication", "the server has not said yet what it takes", next);
  }
  const all = listed(methods);
  if (methods.includes("none")) return note("authentication", "the server wants none");
  if (halfway !== undefined) {
    const text = `the server takes ${all}; at the last login: ${halfwayText(halfway, listed(halfway.wants))}`;
    return note("authentication", text, connect);
  }
  const usable = config.authentications.filter((name) => methods.includes(name));
  const byPerson = usable.filter((name) => name !== "publickey");
  if (usable.includes("publickey") && offers > 0)
    return ok(
      "authentication",
      `the server takes ${all}; there are ${offers} keys to offer (only a login tells whether it wants more than a key)`,
    );
  if (byPerson.length > 0)
    return note("authentication", `the server takes ${all}; somebody has to answer`, connect);
  return problem(
    "authentication",
    `the server takes ${all}, and there is nothing to give it`,
    "name a key with IdentityFile, or add one to an agent",
  );
}
