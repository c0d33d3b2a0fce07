// Two network namespaces with a cable between them: a network of its own that can be cut without touching the machine's.
import { spawnSync } from "node:child_process";
import { onTestFinished } from "vitest";

export interface Cable {
  /** what starts a program in the one namespace, and in the other */
  near: readonly string[];
  far: readonly string[];
  /** the other's address */
  address: string;
  /** Takes the carrier away, as pulling the plug does; gives it back. */
  unplug(): void;
  plug(): void;
  /** What comes from the near side is answered into nothing; no carrier is lost. */
  swallow(): void;
  release(): void;
  /** Gives the near side one more address. */
  addAddress(): void;
}

const ip = (...args: string[]): boolean => spawnSync("ip", args, { stdio: "ignore" }).status === 0;

/** Why there can be none here, or undefined. */
export function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = `t${process.pid}p`;
  const isPossible = ip("netns", "add", name) && ip("-n", name, "link", "set", "lo", "up");
  ip("netns", "del", name);
  return isPossible ? undefined : "network namespaces cannot be made here (iproute2, and the right to)";
}

/** Makes one for the running test. */
export function makeCable(): Cable {
  const [near, far] = [`t${process.pid}a`, `t${process.pid}b`];
  const [here, there] = ["192.0.2.1", "192.0.2.2"];
  const must = (...args: string[]) => {
    if (!ip(...args)) throw new Error(`ip ${args.join(" ")} failed`);
  };
  onTestFinished(() => {
    ip("netns", "del", near);
    ip("netns", "del", far);
  });
  for (const name of [near, far]) must("netns", "add", name);
  must("-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far);
  for (const [name, address] of [
    [near, here],
    [far, there],
  ] as const) {
    must("-n", name, "address", "add", `${address}/24`, "dev", "cable");
    must("-n", name, "link", "set", "cable", "up");
    must("-n", name, "link", "set", "lo", "up");
  }
  const within = (name: string) => ["ip", "netns", "exec", name];
  return {
    near: within(near),
    far: within(far),
    address: there,
    unplug: () => must("-n", far, "link", "set", "cable", "down"),
    plug: () => must("-n", far, "link", "set", "cable", "up"),
    swallow: () => must("-n", far, "route", "add", "blackhole", `${here}/32`),
    release: () => must("-n", far, "route", "del", "blackhole", `${here}/32`),
    addAddress: () => must("-n", near, "address", "add", "198.51.100.1/24", "dev", "cable"),
  };
}
