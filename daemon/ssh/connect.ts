// From a host's configuration to an authenticated connection. A new client for each attempt: ssh2 does not survive another one.
import type { Clock } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import { offeredAlgorithms } from "./algorithms.ts";
import { type Caller, nobody } from "./caller.ts";
import { Connection } from "./connection.ts";
import { type Around, clockWithin, tellWithin } from "./current-host.ts";
import type { DialQueue, Turn } from "./dial-queue.ts";
import type { Doors, Visit } from "./doors.ts";
import { isRefusedLogin } from "./failure.ts";
import { Handshake } from "./handshake.ts";
import { type HostConfig, hostNameOf } from "./host-config.ts";
import { type AddressToCheck, HostVerifier } from "./host-verifier.ts";
import { gatherIdentities, type Identities } from "./identities.ts";
import type { KeyRing } from "./key-ring.ts";
import { asItIs, type KnownHost, lookupName, recordName } from "./known-hosts.ts";
import { askKnownHostsCommand } from "./known-hosts-command.ts";
import { knownAlgorithms } from "./known-hosts-verdict.ts";
import { NewHostKeys } from "./new-host-keys.ts";
import type { Outside } from "./outside.ts";
import type { Outstanding } from "./outstanding.ts";
import { Phases } from "./phases.ts";
import type { WindowBudget } from "./receive-window.ts";
import { reach } from "./reach.ts";
import { SshClient } from "./ssh2/client.ts";
import { withWhatIsOutstanding } from "./unanswered.ts";
import { Login } from "./login.ts";
import { setTrafficClass } from "./traffic-class.ts";
import { keepHostKeys } from "./update-host-keys.ts";
import type { Wire } from "./wire.ts";

export interface ConnectOptions extends Omit<Outside, "slices"> {
  config: HostConfig;
  /** whoever waits for it, and may be asked */
  caller: Caller;
  /** what it goes over, where another master leads to the host */
  wire?: Wire | undefined;
  clock: Clock;
  log: Log;
  /** shared by all connections */
  windowBudget: WindowBudget;
  /** opens identities that have a passphrase */
  keyRing: KeyRing;
  /** whose turn it is to dial and to exchange keys; shared by all connections */
  turns: DialQueue;
  /** who may come to which server, and how many at once; shared by all connections */
  doors: Doors;
  /** after so many milliseconds an address counts as silent, where ConnectTimeout is not set and nobody waits */
  silentMs?: number | undefined;
  /** whether the last login with this configuration was accepted */
  isTrusted?: () => boolean;
  /** whether a person waits for it, now */
  isAwaited: () => boolean;
  /** runs what is the host's: what it throws is known to be */
  around: Around;
  /** what a person may still have to give for it: nothing yet */
  outstanding: Outstanding;
  /** whether the processor has instructions for AES */
  isAesFast: boolean;
  /** ends the attempt, and the connection that it became */
  signal: AbortSignal;
}

/**
 * Waits for its turn, dials, checks the host key and logs in. What nobody need do anything for has a limit (phases.ts): TCP,
 * the server's version, key exchange. Identities and authentication have the server's alone, and those of `signal`.
 * @throws TundError for whatever kept it from coming up
 */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const { turns, doors, isAwaited, isTrusted = () => false, signal } = options;
  const turn = await turns.take({ isAwaited, signal });
  const visit = doors.visit({ isAwaited, isTrusted, signal });
  try {
    const connection = await dialAndLogIn({ ...options, visit }, turn);
    visit.end("accepted");
    return connection;
  } catch (error) {
    visit.end(isRefusedLogin(error) ? "refused" : "other", messageOf(error));
    throw error;
  } finally {
    turn.end();
  }
}

async function dialAndLogIn(options: ConnectOptions & { visit: Visit }, turn: Turn): Promise<Connection> {
  const { config, log, windowBudget, isAesFast, keyRing, around, signal } = options;
  const { children, files, hostKeyFiles, hostKeyMemory, kems } = options;
  const clock = clockWithin(options.clock, around);
  const { outstanding } = options;
  const phases = new Phases(clock, outstanding);
  const caller = phases.patient(config.isBatch ? nobody : options.caller);
  const asker = config.isBatch ? withAgents(caller, options.caller) : caller;
  const hybrids = kems.offered(); // which takes the start of a process, the first time
  const identities = await outstanding.during(
    `the keys of the agent at ${config.agent.path}`,
    gatherIdentities({ config, caller: asker, files, clock, keyRing, signal }),
  );
  try {
    const known = await knownHosts(options);
    const order = [...known, ...(await printedInOrder(options))];
    const means = { isAesFast, hybrids: await hybrids };
    const offered = offeredAlgorithms(config, knownAlgorithms(order, hostNameOf(config)), means);
    const socket = await reach(options);
    tellWithin(socket, around); // what comes with it and does not go through the client: its end, say
    const isLoopback = /^(127\.|::1$)/.test(socket.dialled ?? "");
    const ofAddress = async () => (isLoopback ? null : addressToCheck(socket.dialled, options));
    const fresh = new NewHostKeys({ config, memory: hostKeyMemory, files: hostKeyFiles, caller, clock, log });
    const judged = { config, known, ofAddress, isLoopback, files: hostKeyFiles, fresh };
    const verifier = new HostVerifier({ ...judged, children, clock, signal, log });
    const client = new SshClient({ socket, clock, around });
    const connection = new Connection({ client, socket, config, clock, windowBudget, log });
    client.onHandshake(turn.end); // what follows is waiting: for the server, for agents, for a person
    const login = new Login({ config, identities, caller, clock, outstanding, memory: options.loginMemory });
    const handshake = new Handshake({
      client,
      socket,
      config,
      kems,
      phases,
      verifier,
      identities,
      login,
      caller,
    });
    const { warnings } = connection;
    keepHostKeys(client, { config, known, verifier, files, hostKeyFiles, log, warnings });
    await handshake.run(offered);
    warnings.push(
      ...verifier.warnings,
      ...config.link.unfollowed,
      ...setTrafficClass(socket, config, children.native),
    );
    connection.acceptedKey = login.acceptedKey;
    connection.established();
    return connection;
  } catch (error) {
    const told = mayBeOver(error, identities);
    throw await withWhatIsOutstanding(told, { config, outstanding, clock, signal });
  } finally {
    phases.end();
    identities.close();
  }
}

// The key that would have opened the door may be in a file that did not answer, where another attempt may find it; or in an
// agent that somebody has to unlock first.
function mayBeOver(error: unknown, { stalled, silent }: Identities): unknown {
  if (!(error instanceof TundError) || !["AUTH_FAILED", "PROMPT_UNANSWERED"].includes(error.code))
    return error;
  if (silent !== null) return new TundError("PROMPT_UNANSWERED", error.message, { cause: error });
  return stalled ? new TundError("CONNECT_TIMEOUT", error.message, { cause: error }) : error;
}

async function knownHosts(options: ConnectOptions): Promise<KnownHost[]> {
  const { config, hostKeyFiles, hostKeyMemory, log } = options;
  const name = hostNameOf(config);
  const { hosts, problems } = await hostKeyFiles.find(config.knownHostsFiles, name);
  for (const problem of problems) log.warn({ problem }, "known hosts file not read");
  // Under yes the files alone count.
  const isMemoryAsked = config.strictHostKeyChecking !== "yes";
  const unrecorded = { file: config.userKnownHostsFile, name: recordName(name) };
  return isMemoryAsked ? [...hosts, ...hostKeyMemory.of(unrecorded)] : hosts;
}

/** What KnownHostsCommand has known before there is a key to judge: it orders the algorithms, and vouches for nothing. */
async function printedInOrder(options: ConnectOptions): Promise<KnownHost[]> {
  const { config, hostKeyFiles, children, clock, signal } = options;
  const { knownHostsCommand: command, hostKeyTokens: tokens, knownHostsVariables: variables } = config;
  if (command === null) return [];
  // The name without the port, as ssh 9 has it this time.
  const asked = { command, tokens, variables, name: config.hostname, host: hostNameOf(config) };
  const env = config.environment?.over(children.env);
  const running = { children, clock, signal, files: hostKeyFiles, ...(env && { env }) };
  return askKnownHostsCommand(asked, { kind: "ORDER" }, running);
}

/** The address that was dialled, where CheckHostIP has a key looked up by it: not where it is the host's only name. */
async function addressToCheck(
  dialled: string | undefined,
  { config, hostKeyFiles }: ConnectOptions,
): Promise<AddressToCheck | null> {
  if (!config.checkHostIp || dialled === undefined) return null;
  const name = lookupName(dialled, config.port);
  if (name === config.hostname) return null;
  const { hosts } = await hostKeyFiles.find(config.knownHostsFiles, asItIs(name));
  return { name, known: hosts };
}

// Under BatchMode a caller is not asked, and their agent serves all the same.
const withAgents = (caller: Caller, { agents }: Caller): Caller => ({ ...caller, agents });
