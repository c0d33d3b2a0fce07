// What ssh_config means for a host, as ssh itself says it (`ssh -G`): Match, Include, tokens and canonicalization are its work.
import { createHash } from "node:crypto";
import type { ConnectionOptions } from "../../shared/records.ts";
import { messageOf, TundError } from "../../shared/errors.ts";
import { formatAddress } from "../../shared/forward-spec.ts";
import { AliveIntervals } from "./alive-interval.ts";
import { type ChosenAlgorithms, chosenAlgorithms } from "./chosen-algorithms.ts";
import { type AuthenticationConfig, authenticationConfig } from "./authentication-config.ts";
import type { Files } from "../files.ts";
import {
  type HostKeyConfig,
  hostKeyConfig,
  type KnownHostsPaths,
  knownHostsPaths,
} from "./host-key-config.ts";
import { somebody } from "./dial-queue.ts";
import { type ForwardingConfig, forwardingConfig } from "./forwarding-config.ts";
import type { HostName } from "./known-hosts.ts";
import { type LinkConfig, linkConfig } from "./link-config.ts";
import type { RekeyLimit } from "./rekeying.ts";
import { parseSettings, type Settings } from "./settings.ts";
import { quoted, sshArguments } from "./ssh-arguments.ts";
import { jumpHost, partsOf, splitHops, type Way, wayOf } from "./way.ts";
import type { CallerEnvironment } from "./caller-environment.ts";
import type { Asking, Said, SshQueries } from "./ssh-queries.ts";
import { expandTildes } from "./tildes.ts";
import { type Person, type TokenSource, tokensOf } from "./tokens.ts";

/** Everything that decides a connection, resolved. */
export interface HostConfig extends AuthenticationConfig, HostKeyConfig {
  /** the name that the user gave */
  host: string;
  hostname: string;
  port: number;
  user: string;
  family: 0 | 4 | 6;
  bindAddress: string | null;
  /** the network interface whose address is bound */
  bindInterface: string | null;
  /** how often each address is tried */
  connectionAttempts: number;
  way: Way;
  /** for each address, and each name to be resolved; Infinity where somebody wants none */
  connectTimeoutMs: number;
  /** whether ssh_config says so: it limits what a person may be waited for as well then (the server's version line) */
  isConnectTimeoutSet: boolean;
  /** 0: off */
  keepaliveIntervalMs: number;
  keepaliveCountMax: number;
  /** for people: why it cannot be told whether keepalives were turned off */
  keepaliveDoubt: string | null;
  rekeyLimit: RekeyLimit;
  tcpKeepAlive: boolean;
  compression: boolean;
  link: LinkConfig;
  forwarding: ForwardingConfig;
  /** where its master can be driven by ssh itself */
  controlPath: string | null;
  /** after so many seconds without channels a master in the background ends; "yes": never */
  controlPersist: "no" | "yes" | number;
  forkAfterAuthentication: boolean;
  /** what to use, in ssh's spelling; null where the user left the choice open */
  algorithms: ChosenAlgorithms;
  /** whose environment the programs of its ssh_config have; null: tund's own */
  environment: CallerEnvironment | null;
  /** whether there are such programs: ProxyCommand, KnownHostsCommand, Match exec */
  runsPrograms: boolean;
  /** whether it is to be told when keys are not exchanged in a post-quantum way (WarnWeakCrypto, OpenSSH 10.1) */
  warnsOfWeakKex: boolean;
  /** equal for two names exactly when they mean the same connection */
  identity: string;
}

/** `user@hostname:port`, for messages. */
export const whereOf = ({ user, hostname, port }: HostConfig): string =>
  `${user}@${formatAddress(hostname, port)}`;

/** What known hosts know it by. */
export const hostNameOf = ({ hostname: host, port, hostKeyAlias }: HostConfig): HostName => ({
  host,
  port,
  hostKeyAlias,
});

/** What asks ssh: answers what `ssh -G` prints for these arguments. */
type Queries = Pick<SshQueries, "ask" | "onEnd">;

// What cannot change which connection it is: forwards, what would run in a session, logging, ssh's own multiplexing.
const irrelevant = new Set(
  (
    "host identityfile localforward remoteforward dynamicforward clearallforwardings exitonforwardfailure gatewayports " +
    "permitremoteopen streamlocalbindmask streamlocalbindunlink controlmaster controlpath controlpersist loglevel logverbose " +
    "syslogfacility sessiontype requesttty remotecommand stdinnull forkafterauthentication sendenv setenv escapechar " +
    "enableescapecommandline forwardx11 forwardx11trusted forwardx11timeout forwardagent xauthlocation visualhostkey " +
    "localcommand permitlocalcommand tunnel tunneldevice tag warnweakcrypto obscurekeystroketiming fingerprinthash " +
    "addkeystoagent"
  ).split(" "),
);

/** Resolves hosts by asking ssh. One per daemon: it keeps ssh's defaults, to tell them from the user's choices. */
export class HostResolver {
  readonly #queries: Queries;
  readonly #person: Person;
  readonly #configFile: string | null;
  readonly #controlPath: string | null;
  readonly #files: Files;
  readonly #aliveIntervals: AliveIntervals;
  #defaults: Promise<Settings> | undefined;

  /**
   * @param configFile the `-F` for every host that names none itself
   * @param controlPath the ControlPath of every host whose request names none itself; null: as ssh_config says
   */
  constructor(options: {
    person: Person;
    configFile: string | null;
    controlPath: string | null;
    files: Files;
    queries: Queries;
  }) {
    this.#person = options.person;
    this.#configFile = options.configFile;
    this.#controlPath = options.controlPath;
    this.#files = options.files;
    this.#queries = options.queries;
    this.#aliveIntervals = new AliveIntervals(options.files);
    this.#queries.onEnd(() => this.#aliveIntervals.end());
  }

  /**
   * Resolves a host with the options that came with it.
   * @param asking who wants it: a person who waits, unless it says otherwise; and whose environment ssh has then
   * @throws TundError HOST_CONFIG_FAILED with ssh's own words, SSH_NOT_FOUND; what its signal was aborted with
   */
  async resolve(
    host: string,
    options: ConnectionOptions = {},
    asking: Asking = somebody,
  ): Promise<HostConfig> {
    const { host: name, jump } = splitHops(host);
    const { host: last, ...parts } = partsOf(name);
    const { configFile } = options;
    const asked = { ...parts, ...options, ...(jump !== undefined && { jump }) };
    // Both at once; where ssh answers neither, what it says of this host is what is told.
    const coming = this.#sshDefaults();
    const { printed, ranPrograms } = await this.#ask(last, asked, asking);
    const settings = await expandTildes(
      parseSettings(printed),
      this.#person.home,
      async (args) => (await this.#queries.ask(args, asking)).printed,
    );
    const defaults = await coming;
    const files = await this.#knownHostsPaths(settings, defaults, host);
    const alive = await this.#aliveIntervals.tell(
      {
        settings,
        options: options.options ?? [],
        configFile: configFile ?? this.#configFile,
        ask: async (path) =>
          parseSettings((await this.#ask(last, { ...asked, configFile: path }, asking)).printed),
      },
      asking.signal,
    );
    const decided = new Map(settings).set("serveraliveinterval", [String(alive.seconds)]);
    const { environment = null } = asking;
    const person = environment === null ? this.#person : asPerson(this.#person, environment);
    const config = toHostConfig(last, { settings: decided, defaults, files, person, configFile });
    const runsPrograms = ranPrograms || config.way.kind === "command" || config.knownHostsCommand !== null;
    return { ...config, keepaliveDoubt: alive.doubt, host, environment, runsPrograms };
  }

  #ask(host: string, options: ConnectionOptions, asking: Asking): Promise<Said> {
    // Behind the caller's own: the first one counts.
    const path = this.#controlPath === null ? [] : ["-o", `ControlPath=${quoted(this.#controlPath)}`];
    const args = [...sshArguments(options, this.#configFile), ...path, "--", host];
    return this.#queries.ask(args, asking);
  }

  async #knownHostsPaths(settings: Settings, defaults: Settings, host: string): Promise<KnownHostsPaths> {
    try {
      return await knownHostsPaths(settings, defaults, (path) => this.#files.exists(path));
    } catch (error) {
      const message = `cannot tell the known hosts files of '${host}': ${messageOf(error)}`;
      throw new TundError("HOST_CONFIG_FAILED", message, { cause: error });
    }
  }

  #sshDefaults(): Promise<Settings> {
    // Of no host, and for all of them: whoever asks first.
    this.#defaults ??= this.#queries
      .ask(["-F", "none", "--", "localhost"], somebody)
      .then(({ printed }) => parseSettings(printed));
    this.#defaults.catch(() => (this.#defaults = undefined));
    return this.#defaults;
  }
}

// Which agent serves is not said by it: the caller's own comes with the request.
const asPerson = (person: Person, environment: CallerEnvironment): Person => {
  const { SSH_AUTH_SOCK } = person.env;
  return { ...person, env: { ...environment.over(person.env), SSH_AUTH_SOCK } };
};

interface Resolution {
  settings: Settings;
  defaults: Settings;
  files: KnownHostsPaths;
  person: Person;
  /** the -F that came with the request */
  configFile: string | undefined;
}

function toHostConfig(
  host: string,
  { settings, defaults, files, person, configFile }: Resolution,
): Omit<HostConfig, "environment" | "runsPrograms" | "keepaliveDoubt"> {
  const value = (name: string): string => settings.get(name)?.[0] ?? "";
  const flag = (name: string): boolean => ["yes", "true"].includes(value(name));
  const source: TokenSource = {
    originalHost: host.slice(host.lastIndexOf("@") + 1),
    hostname: value("hostname"),
    port: Number(value("port")),
    user: value("user"),
    hostKeyAlias: value("hostkeyalias") || null,
    proxyJump: jumpHost(settings),
  };
  const tokens = tokensOf(source, person);
  const authentication = authenticationConfig(settings, tokens, person);
  return {
    host,
    hostname: source.hostname,
    port: source.port,
    user: source.user,
    family: { inet: 4 as const, inet6: 6 as const }[value("addressfamily")] ?? 0,
    bindAddress: value("bindaddress") || null,
    bindInterface: value("bindinterface") || null,
    connectionAttempts: Number(value("connectionattempts")) || 1,
    way: wayOf(settings, tokens, { configFile, shell: person.env["SHELL"] || "/bin/sh" }),
    ...timing(value),
    rekeyLimit: rekeyLimit(value("rekeylimit")),
    tcpKeepAlive: flag("tcpkeepalive"),
    ...authentication,
    ...hostKeyConfig(settings, { hostKeyAlias: source.hostKeyAlias, files, tokens, person }),
    compression: flag("compression"),
    link: linkConfig(settings, defaults, host),
    forwarding: forwardingConfig(settings, tokens),
    controlPath: value("controlpath") || null,
    forkAfterAuthentication: flag("forkafterauthentication"),
    controlPersist: persistence(value("controlpersist")),
    algorithms: chosenAlgorithms(settings, defaults),
    warnsOfWeakKex: !weakKexIsFine.has(value("warnweakcrypto")),
    identity: identityOf(settings, authentication.identityFiles),
  };
}

const timing = (value: (name: string) => string) => ({
  ...connectTimeout(value("connecttimeout")),
  keepaliveIntervalMs: Number(value("serveraliveinterval")) * 1000,
  keepaliveCountMax: Number(value("serveralivecountmax") || 3),
});

// `none` for what nobody said, or said; 0 is no limit (sshconnect.c).
function connectTimeout(value: string): Pick<HostConfig, "connectTimeoutMs" | "isConnectTimeoutSet"> {
  const seconds = value === "" ? Number.NaN : Number(value);
  if (Number.isNaN(seconds)) return { connectTimeoutMs: 30_000, isConnectTimeoutSet: false };
  return { connectTimeoutMs: seconds === 0 ? Infinity : seconds * 1000, isConnectTimeoutSet: true };
}

// Bytes and seconds; 0 for what nobody chose.
function rekeyLimit(value: string): RekeyLimit {
  const [bytes, seconds] = value.split(" ").map(Number);
  return { bytes: bytes || null, ms: seconds ? seconds * 1000 : null };
}

function persistence(value: string): HostConfig["controlPersist"] {
  if (value === "yes" || value === "0") return "yes";
  return Number(value) || "no";
}

// An ssh that does not know the setting says nothing of it.
const weakKexIsFine = new Set(["no", "no-pq-kex"]);

function identityOf(settings: Settings, identityFiles: readonly string[]): string {
  const deciding = [...settings]
    .filter(([name]) => !irrelevant.has(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([deciding, identityFiles]))
    .digest("hex");
}
