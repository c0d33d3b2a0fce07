// What ssh_config says of forwards: those it asks for itself, and how all of them are made.
import type { ForwardKind } from "../../shared/forward-spec.ts";
import type { Settings } from "./settings.ts";

export interface ForwardingConfig {
  /** LocalForward, RemoteForward, DynamicForward, each as -L, -R or -D would take it */
  configured: { kind: ForwardKind; spec: string }[];
  clearAll: boolean;
  exitOnFailure: boolean;
  gatewayPorts: boolean;
  streamLocal: { mask: number; unlink: boolean };
  /** PermitRemoteOpen: whether remote SOCKS may lead there */
  permits: (host: string, port: number) => boolean;
  /** %-tokens, for the paths of Unix sockets */
  tokens: Readonly<Record<string, string>>;
}

/** Reads it from what `ssh -G` printed. */
export function forwardingConfig(
  settings: Settings,
  tokens: Readonly<Record<string, string>>,
): ForwardingConfig {
  const flag = (name: string): boolean => settings.get(name)?.[0] === "yes";
  return {
    configured: configuredForwards(settings),
    clearAll: flag("clearallforwardings"),
    exitOnFailure: flag("exitonforwardfailure"),
    gatewayPorts: flag("gatewayports"),
    streamLocal: {
      mask: Number.parseInt(settings.get("streamlocalbindmask")?.[0] ?? "0177", 8),
      unlink: flag("streamlocalbindunlink"),
    },
    permits: permission(settings.get("permitremoteopen")?.[0] ?? "any"),
    tokens,
  };
}

/**
 * Forwards as `ssh -G` prints them: `localforward 8080 [db.internal]:5432`, `remoteforward 9001 [socks]:0` for SOCKS.
 * A local forward to a path is printed twice, once as a `dynamicforward` that nobody asked for (ssh 9.2 and 10.5).
 */
function configuredForwards(settings: Settings): ForwardingConfig["configured"] {
  const pairs = (name: string) =>
    (settings.get(name) ?? []).map((line) => line.split(" ") as [string, string?]);
  const locals = pairs("localforward");
  const bogus = locals.filter(([, to]) => to?.startsWith("/")).map(([bind]) => bind);
  const dynamics = pairs("dynamicforward").filter(([bind]) => {
    const at = bogus.indexOf(bind);
    if (at !== -1) bogus.splice(at, 1);
    return at === -1;
  });
  return [
    ...locals.map(([bind, to]) => ({ kind: "local" as const, spec: joined(bind, to) })),
    ...dynamics.map(([bind]) => ({ kind: "dynamic" as const, spec: bindSpec(bind) })),
    ...pairs("remoteforward").map(([bind, to]) => ({ kind: "remote" as const, spec: joined(bind, to) })),
  ];
}

const joined = (bind: string, to: string | undefined): string =>
  to === undefined || to === "[socks]:0" ? bindSpec(bind) : `${bindSpec(bind)}:${to}`;

// An empty bind address (`*`) is printed as `[]:8080`.
const bindSpec = (bind: string): string => bind.replace(/^\[\]:/, "*:");

function permission(value: string): ForwardingConfig["permits"] {
  if (value === "any") return () => true;
  if (value === "none") return () => false;
  const rules = value.split(/\s+/).map((rule) => {
    const at = rule.lastIndexOf(":");
    return { host: rule.slice(0, at).replace(/^\[(.*)\]$/, "$1"), port: rule.slice(at + 1) };
  });
  // Compared as it is written: no name is resolved (ssh_config(5), PermitRemoteOpen).
  return (host, port) =>
    rules.some(
      (rule) =>
        (rule.host === "*" || rule.host === host) && (rule.port === "*" || rule.port === String(port)),
    );
}
