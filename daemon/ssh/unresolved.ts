// What stands for a host's configuration while ssh cannot be asked what its ssh_config means.
import type { HostConfig } from "./host-config.ts";

const IDENTITY = "unresolved:";

const noForwarding: HostConfig["forwarding"] = {
  configured: [],
  clearAll: false,
  exitOnFailure: false,
  gatewayPorts: false,
  streamLocal: { mask: 0o177, unlink: false },
  permits: () => false,
  tokens: {},
};

/** A configuration that leads nowhere: nothing may be dialled with it. */
export const unresolved = (host: string): HostConfig => ({
  host,
  hostname: host,
  port: 0,
  user: "",
  family: 0,
  bindAddress: null,
  bindInterface: null,
  connectionAttempts: 1,
  way: { kind: "direct" },
  connectTimeoutMs: 0,
  isConnectTimeoutSet: false,
  keepaliveIntervalMs: 0,
  keepaliveDoubt: null,
  keepaliveCountMax: 0,
  rekeyLimit: { bytes: null, ms: null },
  tcpKeepAlive: false,
  identityFiles: [],
  identitiesOnly: true,
  publicKeyAllowed: false,
  agent: { path: null, isFixed: true },
  certificateFiles: [],
  authentications: [],
  undone: [],
  numberOfPasswordPrompts: 0,
  isBatch: true,
  publicKeyAlgorithms: null,
  knownHostsFiles: [],
  userKnownHostsFile: null,
  hostKeyAlias: null,
  strictHostKeyChecking: "yes",
  hashKnownHosts: false,
  caAlgorithms: null,
  revokedHostKeys: [],
  knownHostsCommand: null,
  knownHostsVariables: {},
  hostKeyTokens: {},
  updateHostKeys: "no",
  isLocalhostTrusted: false,
  checkHostIp: false,
  requiredRsaSize: 0,
  compression: false,
  link: { trafficClass: null, versionAddendum: null, channelTimeouts: [], unfollowed: [] },
  forwarding: noForwarding,
  controlPath: null,
  controlPersist: "no",
  forkAfterAuthentication: false,
  algorithms: { ciphers: null, macs: null, kexalgorithms: null, hostkeyalgorithms: null },
  environment: null,
  runsPrograms: false,
  warnsOfWeakKex: false,
  identity: `${IDENTITY}${host}`,
});

/** Whether a configuration is such a one. */
export const isUnresolved = ({ identity }: HostConfig): boolean => identity.startsWith(IDENTITY);
