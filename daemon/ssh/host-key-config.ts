// What ssh_config says of host keys.
import { existsSync } from "node:fs";
import { listOf } from "./authentication-config.ts";
import type { Settings } from "./settings.ts";
import { expandPath, type Person } from "./tokens.ts";

export interface HostKeyConfig {
  knownHostsFiles: string[];
  userKnownHostsFile: string | null;
  hostKeyAlias: string | null;
  strictHostKeyChecking: "yes" | "ask" | "accept-new" | "no";
  hashKnownHosts: boolean;
  /** CASignatureAlgorithms; null: whatever there is */
  caAlgorithms: string[] | null;
  revokedHostKeys: string | null;
  /** KnownHostsCommand, with its tokens as they were written */
  knownHostsCommand: string | null;
  /** what those stand for, as far as the connection says */
  hostKeyTokens: Readonly<Record<string, string>>;
  updateHostKeys: "yes" | "ask" | "no";
  /** NoHostAuthenticationForLocalhost */
  isLocalhostTrusted: boolean;
}

interface Surroundings {
  hostKeyAlias: string | null;
  tokens: Readonly<Record<string, string>>;
  person: Person;
}

/** Reads it. @throws TundError HOST_CONFIG_FAILED for a path that cannot be expanded */
export function hostKeyConfig(
  settings: Settings,
  { hostKeyAlias, tokens, person }: Surroundings,
): HostKeyConfig {
  const value = (name: string): string => settings.get(name)?.[0] ?? "";
  const userFiles = splitPaths(value("userknownhostsfile"));
  const revoked = orNull(value("revokedhostkeys"));
  return {
    knownHostsFiles: [...userFiles, ...splitPaths(value("globalknownhostsfile"))],
    userKnownHostsFile: userFiles[0] ?? null,
    hostKeyAlias,
    strictHostKeyChecking: strictness(value("stricthostkeychecking")),
    hashKnownHosts: value("hashknownhosts") === "yes",
    caAlgorithms: listOf(settings, "casignaturealgorithms"),
    revokedHostKeys: revoked && expandPath(revoked, tokens, person),
    knownHostsCommand: orNull(value("knownhostscommand")),
    hostKeyTokens: tokens,
    updateHostKeys: updating(value("updatehostkeys")),
    isLocalhostTrusted: value("nohostauthenticationforlocalhost") === "yes",
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

// `ssh -G` prints several paths with spaces between them and no quotes: a path that has a space is told by being there.
function splitPaths(value: string): string[] {
  const words = value.split(" ").filter((word) => word !== "");
  const paths: string[] = [];
  for (let from = 0; from < words.length;) {
    let to = words.length;
    while (to > from + 1 && !existsSync(words.slice(from, to).join(" "))) to--;
    paths.push(words.slice(from, to).join(" "));
    from = to;
  }
  return paths.filter((path) => path !== "none");
}
