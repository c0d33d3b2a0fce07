// How a host is reached: ProxyJump and ProxyCommand of ssh_config(5).
import type { ConnectionOptions } from "../../shared/records.ts";
import { TundError } from "../../shared/errors.ts";
import type { Settings } from "./settings.ts";
import { expandTokens } from "./tokens.ts";

/** A host that another one is reached by way of. */
export interface Hop {
  /** what its master is called: the host, or `a,b` for b by way of a */
  name: string;
  /** what of the options goes for it too: the file alone (ssh.c) */
  options: ConnectionOptions;
}

export type Way =
  | { kind: "direct" }
  | { kind: "command"; command: string; shell: string }
  /** the last hop: those before it are its own business */
  | { kind: "jump"; hop: Hop };

/**
 * Reads the way from what `ssh -G` says; it prints one of the two at most.
 * @param configFile the -F that came with the request
 * @throws TundError UNSUPPORTED for ProxyUseFdpass, HOST_CONFIG_FAILED for an unknown token
 */
export function wayOf(
  settings: Settings,
  tokens: Readonly<Record<string, string>>,
  { configFile, shell }: { configFile: string | undefined; shell: string },
): Way {
  const value = (name: string) => settings.get(name)?.[0] ?? "none";
  const [jump, command] = [value("proxyjump"), value("proxycommand")];
  if (jump !== "none") return { kind: "jump", hop: hopOf(jump, configFile) };
  if (command === "none") return { kind: "direct" };
  if (value("proxyusefdpass") === "yes")
    throw new TundError(
      "UNSUPPORTED",
      `ProxyUseFdpass of ProxyCommand '${command}': tund cannot take a descriptor from it`,
    );
  return { kind: "command", command: expandTokens(command, tokens), shell };
}

/** The last of the comma-separated hops; ssh runs `ssh -J OTHERS -W HOST:PORT LAST` (ssh.c). */
function hopOf(jump: string, configFile: string | undefined): Hop {
  const name = jump.includes(",") ? jump : hostOf(jump);
  return { name, options: configFile === undefined ? {} : { configFile } };
}

/** `a,b` is b by way of a: what masters of hops are called, where hops were said to lead to them. */
export function splitHops(host: string): { host: string; jump: string | undefined } {
  const at = host.lastIndexOf(",");
  if (at === -1) return { host, jump: undefined };
  return { host: hostOf(host.slice(at + 1)), jump: host.slice(0, at) };
}

// A hop may name its port as `host:port`, which a host on the command line may not.
function hostOf(hop: string): string {
  if (hop.startsWith("ssh://")) return hop;
  const [, user = "", host = ""] = /^(.*@)?(.*)$/.exec(hop) ?? [];
  const [, inBrackets, bracketPort] = /^\[(.*)\](?::(\d+))?$/.exec(host) ?? [];
  if (inBrackets !== undefined)
    return bracketPort === undefined ? `${user}${inBrackets}` : `ssh://${user}[${inBrackets}]:${bracketPort}`;
  return /^[^:]+:\d+$/.test(host) ? `ssh://${user}${host}` : `${user}${host}`;
}

/** The host of the last hop alone: what `%j` stands for. */
export const jumpHost = (settings: Settings): string => {
  const jump = settings.get("proxyjump")?.[0] ?? "none";
  if (jump === "none") return "";
  const last = jump.split(",").at(-1) ?? "";
  const [, host = ""] = /^(?:ssh:\/\/)?(?:.*@)?(\[.*\]|[^:]*)(?::\d+)?$/.exec(last) ?? [];
  return host.replace(/^\[(.*)\]$/, "$1");
};
