// What a host has to do without of the environment that it was asked for with.
import { clipped } from "../../shared/clipped.ts";
import type { CallerEnvironment } from "../ssh/caller-environment.ts";

const MOST_NAMED = 5;
const MOST_NAME = 64;

interface Environment {
  environment: CallerEnvironment | null;
  isEnvironmentLost: boolean;
}

/** One line each; names of variables, and never a value. */
export function environmentWarnings(host: string, { environment, isEnvironmentLost }: Environment): string[] {
  if (isEnvironmentLost)
    return [
      `${host} was asked for with another environment than tund's own, which ended with the tund before this one: its ` +
        `ProxyCommand, KnownHostsCommand and Match exec have tund's own now; 'tunctl connect ${host}' gives them yours`,
    ];
  const { leftOut = [] } = environment ?? {};
  if (leftOut.length === 0) return [];
  return [`of the environment that ${host} was asked for with, ${listed(leftOut)} did not fit into 32 KiB`];
}

function listed(names: readonly string[]): string {
  const some = names.slice(0, MOST_NAMED).map((name) => clipped(name, MOST_NAME));
  const more = names.length - some.length;
  return more > 0 ? `${some.join(", ")} and ${more} more` : some.join(", ");
}
