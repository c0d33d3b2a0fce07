// What ssh_config says of authentication.
import type { Settings } from "./settings.ts";
import { expandPath, type Person, variable } from "./tokens.ts";

export interface AuthenticationConfig {
  identityFiles: string[];
  certificateFiles: string[];
  identitiesOnly: boolean;
  publicKeyAllowed: boolean;
  /** PubkeyAcceptedAlgorithms; null: whatever there is */
  publicKeyAlgorithms: string[] | null;
  /** the authentication agent's socket, where there is one; fixed: no other may stand in for it */
  agent: { path: string | null; isFixed: boolean };
  /** what of each is to be tried, in this order (PreferredAuthentications) */
  authentications: readonly string[];
  /** methods and keys that ssh_config has on and tund does not do; of a method, where the server takes it */
  undone: readonly { method: string | null; why: string }[];
  numberOfPasswordPrompts: number;
  /** RequiredRSASize, in bits: of our keys too */
  requiredRsaSize: number;
  /** BatchMode: nobody is ever asked anything */
  isBatch: boolean;
}

/** Reads it. @throws TundError HOST_CONFIG_FAILED for a path that cannot be expanded */
export function authenticationConfig(
  settings: Settings,
  tokens: Readonly<Record<string, string>>,
  person: Person,
): AuthenticationConfig {
  const value = (name: string): string => settings.get(name)?.[0] ?? "";
  const pathsOf = (name: string) =>
    (settings.get(name) ?? [])
      .filter((path) => path !== "none")
      .map((path) => expandPath(path, tokens, person));
  const agent = value("identityagent");
  return {
    identityFiles: pathsOf("identityfile"),
    certificateFiles: pathsOf("certificatefile"),
    identitiesOnly: value("identitiesonly") === "yes",
    publicKeyAllowed: value("pubkeyauthentication") !== "false",
    publicKeyAlgorithms: listOf(settings, "pubkeyacceptedalgorithms"),
    agent: {
      path: agentSocket(agent || "SSH_AUTH_SOCK", person),
      isFixed: !["", "SSH_AUTH_SOCK"].includes(agent),
    },
    authentications: authentications(settings),
    undone: undone(settings),
    numberOfPasswordPrompts: Number(value("numberofpasswordprompts") || 3),
    requiredRsaSize: Number(value("requiredrsasize")) || LEAST_RSA_BITS,
    isBatch: value("batchmode") === "yes",
  };
}

// What ssh has where it knows no RequiredRSASize (sshkey.h, SSH_RSA_MINIMUM_MODULUS_SIZE).
const LEAST_RSA_BITS = 1024;

/** A setting that is a list with commas; null where it is not set. */
export const listOf = (settings: Settings, name: string): string[] | null =>
  settings.get(name)?.[0]?.split(",") ?? null;

// IdentityAgent: `none`, the name of an environment variable, or a path (which ssh has expanded).
function agentSocket(setting: string, { env }: Person): string | null {
  if (setting === "none") return null;
  if (setting === "SSH_AUTH_SOCK") return env["SSH_AUTH_SOCK"] || null;
  const name = /^\$\{?(\w+)\}?$/.exec(setting)?.[1];
  return name === undefined ? setting : variable(env, name) || null;
}

function undone(settings: Settings): AuthenticationConfig["undone"] {
  const value = (name: string): string => settings.get(name)?.[0] ?? "";
  const isOn = (name: string): boolean => ["yes", "true"].includes(value(name));
  const provider = value("pkcs11provider");
  return [
    ...(isOn("hostbasedauthentication")
      ? [
          {
            method: "hostbased",
            why: "tund cannot sign with this machine's host keys, use a key or certificate",
          },
        ]
      : []),
    ...(isOn("gssapiauthentication")
      ? [{ method: "gssapi-with-mic", why: "tund does not do Kerberos, use a key or certificate" }]
      : []),
    ...(isOn("gssapikeyexchange")
      ? [{ method: "gssapi-keyex", why: "tund does not do Kerberos, use a key or certificate" }]
      : []),
    ...(provider === "" || provider === "none"
      ? []
      : [
          {
            method: null,
            why: `keys of PKCS11Provider ${provider}: an agent has to hold them, run 'ssh-add -s ${provider}'`,
          },
        ]),
  ];
}

/** What of it concerns a server that accepts these methods, each as messages have it. */
export const undoneOf = (config: AuthenticationConfig, accepted: readonly string[]): string[] =>
  config.undone.flatMap(({ method, why }) =>
    method === null ? [why] : accepted.includes(method) ? [`${method}: ${why}`] : [],
  );

// What of PreferredAuthentications is on and can be done here: not GSSAPI, nor host-based.
function authentications(settings: Settings): string[] {
  const isOn = (name: string) => !["no", "false"].includes(settings.get(name)?.[0] ?? "yes");
  const on = new Map([
    ["publickey", isOn("pubkeyauthentication")],
    ["keyboard-interactive", isOn("kbdinteractiveauthentication")],
    ["password", isOn("passwordauthentication")],
  ]);
  const preferred = listOf(settings, "preferredauthentications") ?? [...on.keys()];
  return preferred.filter((name) => on.get(name));
}
