// How a host is reached: ProxyJump and ProxyCommand of ssh_config(5).
import type { ConnectionOptions } from "../../shared/records.ts";
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
  /** isPassing: it connects, and passes the connected socket (ProxyUseFdpass) */
  | { kind: "command"; command: string; shell: string; isPassing: boolean }
  /** the last hop: those before it are its own business */
  | { kind: "jump"; hop: Hop };

/**
 * Reads the way from what `ssh -G` says; it prints one of the two at most.
 * @param configFile the -F that came with the request
 * @throws TundError HOST_CONFIG_FAILED for an unknown token
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
  const isPassing = value("proxyusefdpass") === "yes";
  return { kind: "command", command: expandTokens(command, tokens), shell, isPassing };
}

/** The last of the comma-separated hops; ssh runs `ssh -J OTHERS -W HOST:PORT LAST` (ssh.c). */
function hopOf(jump: string, configFile: string | undefined): Hop {
  const at = jump.lastIndexOf(",");
  const name = at === -1 ? hostOf(jump) : `${jump.slice(0, at)},${apart(jump.slice(at + 1))}`;
  return { name, options: configFile === undefined ? {} : { configFile } };
}

// `a,u@b` could be the user `a,u` as well: a hop that names its user is written as a URI there.
function apart(hop: string): string {
  const [, user] = /^(?!ssh:\/\/)(.*)@/.exec(hop) ?? [];
  return user === undefined ? hop : `ssh://${inUri(user)}${hop.slice(user.length)}`;
}

/**
 * `a,b` is b by way of a: what masters of hops are called, where hops were said to lead to them. A user's name may have a comma
 * too, so that `a,b@c` is c for the user `a,b`, as in ssh; b@c by way of a is `a,ssh://b@c`.
 */
export function splitHops(host: string): { host: string; jump: string | undefined } {
  const uri = host.lastIndexOf(",ssh://");
  const comma = host.lastIndexOf(",");
  const at = uri > 0 ? uri : comma > host.lastIndexOf("@") ? comma : -1;
  if (at === -1) return { host, jump: undefined };
  return { host: hostOf(host.slice(at + 1)), jump: host.slice(0, at) };
}

// A hop may name its port as `host:port`, which a host on the command line may not.
function hostOf(hop: string): string {
  if (hop.startsWith("ssh://")) return hop;
  const [, given = "", host = ""] = /^(.*@)?(.*)$/.exec(hop) ?? [];
  const [, inBrackets, bracketPort] = /^\[(.*)\](?::(\d+))?$/.exec(host) ?? [];
  const user = inUri(given);
  if (inBrackets !== undefined)
    return bracketPort === undefined
      ? `${given}${inBrackets}`
      : `ssh://${user}[${inBrackets}]:${bracketPort}`;
  return /^[^:]+:\d+$/.test(host) ? `ssh://${user}${host}` : `${given}${host}`;
}

const inUri = (user: string): string => user.replaceAll("%", "%25");

/**
 * Takes `ssh://[user@]host[:port]` apart, as ssh does with a jump host before it runs ssh for that (ssh.c): ssh itself takes no
 * URI with an address of IPv6, nor with an @ in the user. What is none is the host as it is.
 */
export function partsOf(host: string): { host: string } & Pick<ConnectionOptions, "user" | "port"> {
  const [, user, inBrackets, plain = "", port] =
    /^ssh:\/\/(?:(.+)@)?(?:\[([^\]]+)\]|([^[\]:/@]+))(?::(\d{1,5}))?\/?$/.exec(host) ?? [];
  const name = inBrackets ?? plain;
  if (name === "") return { host };
  const decoded = user?.replaceAll(/(?:%[0-9a-f]{2})+/gi, (bytes) =>
    Buffer.from(bytes.replaceAll("%", ""), "hex").toString(),
  );
  return {
    host: name,
    ...(decoded !== undefined && { user: decoded }),
    ...(port !== undefined && { port: Number(port) }),
  };
}

/** The host of the last hop alone: what `%j` stands for. */
export const jumpHost = (settings: Settings): string => {
  const jump = settings.get("proxyjump")?.[0] ?? "none";
  if (jump === "none") return "";
  const last = jump.split(",").at(-1) ?? "";
  const [, host = ""] = /^(?:ssh:\/\/)?(?:.*@)?(\[.*\]|[^:]*)(?::\d+)?$/.exec(last) ?? [];
  return host.replace(/^\[(.*)\]$/, "$1");
};
