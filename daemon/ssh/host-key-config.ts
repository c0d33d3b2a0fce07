// What ssh_config says of host keys.
import { listOf } from "./authentication-config.ts";
import type { Settings } from "./settings.ts";
import { expandPath, type Person, variablesIn } from "./tokens.ts";

export interface HostKeyConfig {
  knownHostsFiles: string[];
  userKnownHostsFile: string | null;
  hostKeyAlias: string | null;
  strictHostKeyChecking: "yes" | "ask" | "accept-new" | "no";
  hashKnownHosts: boolean;
  /** CASignatureAlgorithms; null: whatever there is */
  caAlgorithms: string[] | null;
  /** a host key that one of these files has is refused */
  revokedHostKeys: string[];
  /** KnownHostsCommand, with its tokens as they were written */
  knownHostsCommand: string | null;
  /** what those stand for, as far as the connection says */
  hostKeyTokens: Readonly<Record<string, string>>;
  /** what `${NAME}` stands for in it */
  knownHostsVariables: Readonly<Record<string, string>>;
  updateHostKeys: "yes" | "ask" | "no";
  /** NoHostAuthenticationForLocalhost */
  isLocalhostTrusted: boolean;
  /** CheckHostIP */
  checkHostIp: boolean;
}

interface Surroundings {
  hostKeyAlias: string | null;
  files: KnownHostsPaths;
  tokens: Readonly<Record<string, string>>;
  person: Person;
}

/** Reads it. @throws TundError HOST_CONFIG_FAILED for a path that cannot be expanded */
export function hostKeyConfig(
  settings: Settings,
  { hostKeyAlias, files, tokens, person }: Surroundings,
): HostKeyConfig {
  const value = (name: string): string => settings.get(name)?.[0] ?? "";
  return {
    knownHostsFiles: [...files.user, ...files.global],
    userKnownHostsFile: files.user[0] ?? null,
    hostKeyAlias,
    strictHostKeyChecking: strictness(value("stricthostkeychecking")),
    hashKnownHosts: value("hashknownhosts") === "yes",
    caAlgorithms: listOf(settings, "casignaturealgorithms"),
    revokedHostKeys: files.revoked.map((path) =>
      files.isRevokedExpanded ? path : expandPath(path, tokens, person),
    ),
    knownHostsCommand: orNull(value("knownhostscommand")),
    hostKeyTokens: tokens,
    knownHostsVariables: variablesIn(value("knownhostscommand"), person.env),
    updateHostKeys: updating(value("updatehostkeys")),
    isLocalhostTrusted: value("nohostauthenticationforlocalhost") === "yes",
    checkHostIp: value("checkhostip") === "yes",
  };
}

const orNull = (text: string): string | null => (text === "" || text === "none" ? null : text);

function strictness(value: string): HostKeyConfig["strictHostKeyChecking"] {
  if (value === "true" || value === "yes") return "yes";
  if (value === "false" || value === "no" || value === "off") return "no";
  return value === "accept-new" ? "accept-new" : "ask";
}

function updating(value: string): HostKeyConfig["updateHostKeys"] {
  if (value === "true" || value === "yes") return "yes";
  return value === "ask" ? "ask" : "no";
}

/** UserKnownHostsFile, GlobalKnownHostsFile and RevokedHostKeys, each as its several paths. */
export interface KnownHostsPaths {
  user: string[];
  global: string[];
  revoked: string[];
  /** whether ssh has expanded the latter */
  isRevokedExpanded: boolean;
}

/**
 * Reads them. @param exists whether there is a file by that name @param defaults what ssh has where nobody has chosen
 * @throws what `exists` throws
 */
export async function knownHostsPaths(
  settings: Settings,
  defaults: Settings,
  exists: (path: string) => Promise<boolean>,
): Promise<KnownHostsPaths> {
  const split = (name: string) => splitPaths(settings.get(name)?.[0] ?? "", exists);
  // An ssh that takes several files says `none` where there is none, and expands them; an older one takes one, as it is written.
  const isNewer = defaults.has("revokedhostkeys");
  const one = settings.get("revokedhostkeys")?.filter((path) => path !== "none") ?? [];
  const [user, global, revoked] = await Promise.all([
    split("userknownhostsfile"),
    split("globalknownhostsfile"),
    isNewer ? split("revokedhostkeys") : one,
  ]);
  return { user, global, revoked, isRevokedExpanded: isNewer };
}

// `ssh -G` prints several paths with spaces between them and no quotes: a path that has a space is told by being there.
async function splitPaths(value: string, exists: (path: string) => Promise<boolean>): Promise<string[]> {
  const words = value.split(" ").filter((word) => word !== "");
  const paths: string[] = [];
  for (let from = 0; from < words.length;) {
    let to = words.length;
    while (to > from + 1 && !(await exists(words.slice(from, to).join(" ")))) to--;
    paths.push(words.slice(from, to).join(" "));
    from = to;
  }
  return paths.filter((path) => path !== "none");
}
