// Two network namespaces with a cable between them: in the far one, servers at addresses of their own.
import { run } from "../../test/support/run.ts";

export interface Networks {
  /** what starts a program in the clients' network, and in the servers' */
  near: readonly string[];
  far: readonly string[];
  /** has what is sent to an address vanish without an answer */
  swallow: (address: string) => Promise<void>;
  /** Takes the networks away, with all that is open in them. */
  end: () => Promise<void>;
}

const [HERE, THERE, SERVERS] = ["192.0.2.1", "192.0.2.2", "198.51.100"];

/** The address of the server of that number, of 200. */
export const addressOf = (index: number): string => `${SERVERS}.${index + 1}`;

async function ip(...args: string[]): Promise<void> {
  const { code, stderr } = await run("ip", args);
  if (code !== 0)
    throw new Error(`ip ${args.join(" ")}: ${stderr.trim()} (network namespaces need root and iproute2)`);
}

/** Makes them, with so many addresses. @throws Error where that cannot be done */
export async function makeNetworks(addresses: number): Promise<Networks> {
  const [near, far] = [`b${process.pid}a`, `b${process.pid}b`];
  const end = async () => {
    for (const name of [near, far]) await run("ip", ["netns", "del", name]);
  };
  try {
    for (const name of [near, far]) await ip("netns", "add", name);
    await ip("-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far);
    for (const [name, address] of [
      [near, HERE],
      [far, THERE],
    ] as const) {
      await ip("-n", name, "address", "add", `${address}/24`, "dev", "cable");
      for (const device of ["lo", "cable"]) await ip("-n", name, "link", "set", device, "up");
    }
    await ip("-n", near, "route", "add", `${SERVERS}.0/24`, "via", THERE);
    for (let index = 0; index < addresses; index++)
      await ip("-n", far, "address", "add", `${addressOf(index)}/32`, "dev", "lo");
  } catch (error) {
    await end();
    throw error;
  }
  const within = (name: string) => ["ip", "netns", "exec", name];
  return {
    near: within(near),
    far: within(far),
    swallow: async (address) => {
      await ip("-n", far, "address", "del", `${address}/32`, "dev", "lo");
      await ip("-n", far, "route", "add", "blackhole", `${address}/32`);
    },
    end,
  };
}
