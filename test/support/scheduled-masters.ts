// The real registry over connections, ssh -G and a disk whose every answer comes when a scheduler of fast-check's says so.
import { makeOutside } from "./outside.ts";
import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import type fc from "fast-check";
import { Registry } from "../../daemon/masters/registry.ts";
import { noSuspects } from "../../daemon/masters/suspects.ts";
import type { SavedHost } from "../../daemon/saved-state.ts";
import type { Connection } from "../../daemon/ssh/connection.ts";
import { CurrentHost } from "../../daemon/ssh/current-host.ts";
import { DialQueue } from "../../daemon/ssh/dial-queue.ts";
import type { HostConfig } from "../../daemon/ssh/host-config.ts";
import { unresolved } from "../../daemon/ssh/unresolved.ts";
import { TundError } from "../../shared/errors.ts";
import type { ConnectionOptions } from "../../shared/records.ts";
import { manualClock } from "./clock.ts";
import { silent } from "./silent-log.ts";

/**
 * Hosts of the world: `a` and `alias` are one, `behind` is reached by way of `hop`. `a` has a forward in its ssh_config. When that
 * is edited, `alias` comes to be another, and `other` and `hop` come to be `a`; with the next edit they are as before.
 */
export const hosts = ["a", "alias", "other", "behind"] as const;
export type Host = (typeof hosts)[number];
const edited = { a: "alias", alias: "alias", other: "a", behind: "hop" } as const;

/** The one that decides the connection, and one that does not. */
export const decisive: ConnectionOptions = { options: ["Port=2222"] };
export const idle: ConnectionOptions = { options: ["ExitOnForwardFailure=yes"] };

interface Link {
  identity: string;
  listeners: Set<string>;
  lose: () => void;
}

export interface ScheduledMasters {
  registry: Registry;
  clock: ReturnType<typeof manualClock>;
  /** links that are up now */
  links: ReadonlySet<Link>;
  /** what is on disk */
  saved: () => SavedHost[];
  /** how many of the next dials fail */
  failures: { dials: number; saves: number };
  /** Has ssh_config say something else from now on, for every host. */
  reconfigure(): void;
  /** Has ssh_config say something else of a host, or of the hop that leads to it. */
  edit(host: Host): void;
  /** What a master has for its hostname that a name stands for, when it is not told otherwise. */
  meaning(name: string): string;
  /** Has everything that is under way happen, in the scheduler's order, until `isDone`. */
  settle(isDone: () => boolean): Promise<void>;
}

function configOf(host: string, hostname: string, options: ConnectionOptions | undefined): HostConfig {
  const identity = `${hostname}${options?.options?.includes("Port=2222") === true ? ":2222" : ""}`;
  const base = unresolved(host);
  const configured = host === "a" ? [{ kind: "remote" as const, spec: "9001:localhost:1" }] : [];
  return {
    ...base,
    user: "me",
    hostname: identity,
    port: 22,
    connectTimeoutMs: 10_000,
    forwarding: { ...base.forwarding, configured },
    way: host === "behind" ? { kind: "jump", hop: { name: "hop", options: {} } } : { kind: "direct" },
    identity,
  };
}

/** Makes it. `saved` is what an earlier daemon had. */
export function scheduledMasters(
  scheduler: Pick<fc.Scheduler, "schedule" | "count" | "waitOne">,
  before: readonly SavedHost[] = [],
): ScheduledMasters {
  const clock = manualClock();
  const links = new Set<Link>();
  const failures = { dials: 0, saves: 0 };
  const later = (what: string): Promise<void> => scheduler.schedule(Promise.resolve(), what);
  let version = 0;
  const edits = new Set<string>();
  const meaning = (name: string): string => {
    if (name === "alias") return edits.has("alias") ? "alias" : "a";
    return edits.has(name) ? "a" : name;
  };
  let disk: SavedHost[] = structuredClone([...before]);
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  const write = async (wanted: SavedHost[]): Promise<void> => {
    const copy = structuredClone(wanted);
    await later("save");
    if (failures.saves > 0) {
      failures.saves--;
      throw new TundError("STATE_NOT_SAVED", "the disk is full");
    }
    disk = copy;
  };
  const outside = makeOutside(clock);
  const registry = new Registry({
    resolve: async (host, options) => {
      await later(`ssh -G ${host}`);
      const config = configOf(host, meaning(host), options);
      return { ...config, identity: version === 0 ? config.identity : `${config.identity} ${version}` };
    },
    dial: async ({ config, signal, wire }) => {
      await later(`dial ${config.identity}`);
      if (failures.dials > 0 || signal.aborted) {
        failures.dials = Math.max(0, failures.dials - 1);
        throw new TundError("HOST_UNREACHABLE", `cannot reach ${config.identity}`);
      }
      return linkTo(config.identity, { links, later, signal, onEnd: () => wire?.destroy() });
    },
    // As Store has it: calls that come while another one writes share the next write.
    store: {
      save: (desired) => {
        next ??= writing
          .catch(() => undefined)
          .then(() => {
            next = undefined;
            writing = write(desired());
            return writing;
          });
        return next;
      },
    },
    ...outside,
    turns: new DialQueue({ most: 1, reserved: 0, slowMs: 1000, slices: outside.slices, clock }),
    current: new CurrentHost(clock),
    suspects: noSuspects,
    serveMux: () => ({ end: () => undefined }),
    parking: { ms: 30_000, most: 256 },
    clock,
    random: () => 0,
    pid: 1,
    log: silent,
  });
  registry.restore(before);
  const settle = async (isDone: () => boolean): Promise<void> => {
    for (let idleTurns = 0; idleTurns < 200;) {
      await turn();
      if (scheduler.count() > 0) {
        await scheduler.waitOne();
        idleTurns = 0;
      } else if (isDone()) return;
      else {
        clock.advance(1000);
        idleTurns++;
      }
    }
    throw new Error("something never ends");
  };
  const edit = (host: Host): void => {
    const name = edited[host];
    if (!edits.delete(name)) edits.add(name);
  };
  const reconfigure = () => void version++;
  return { registry, clock, links, saved: () => disk, failures, reconfigure, edit, meaning, settle };
}

interface LinkParts {
  links: Set<Link>;
  later: (what: string) => Promise<void>;
  signal: AbortSignal;
  onEnd: () => void;
}

function linkTo(identity: string, { links, later, signal, onEnd }: LinkParts): Connection {
  const channels = new Set<PassThrough>();
  let settleClosed: (why: TundError | undefined) => void = () => undefined;
  const closed = new Promise<TundError | undefined>((resolve) => (settleClosed = resolve));
  const end = (why: TundError | undefined) => {
    if (!links.delete(link)) return;
    for (const channel of channels) channel.destroy();
    onEnd();
    settleClosed(why);
  };
  const link: Link = {
    identity,
    listeners: new Set(),
    lose: () => end(new TundError("CONNECTION_LOST", `the link to ${identity} broke`)),
  };
  links.add(link);
  signal.addEventListener("abort", () => end(undefined), { once: true });
  const refuseGone = () => {
    if (!links.has(link)) throw new TundError("CONNECTION_LOST", "the link broke");
  };
  const connection = {
    closed,
    address: "192.0.2.1:22",
    server: "fake",
    roundTripMs: null,
    acceptedKey: null,
    close: () => void later(`close ${identity}`).then(() => end(undefined)),
    verify: () => undefined,
    listen: async ({ port }: { port: number }) => {
      await later(`listen on ${identity}`);
      refuseGone();
      const where = String(port);
      if (link.listeners.has(where)) throw new TundError("FORWARD_REFUSED", `${where} is taken`);
      link.listeners.add(where);
      const cancel = async () => {
        await later(`cancel on ${identity}`);
        link.listeners.delete(where);
      };
      return { port: null, cancel };
    },
    openChannel: async () => {
      await later(`open on ${identity}`);
      refuseGone();
      const stream = new PassThrough();
      channels.add(stream);
      stream.once("close", () => channels.delete(stream));
      Object.assign(stream, { close: () => stream.destroy() });
      return { stream, link: { gone: false, congested: false } };
    },
  };
  return connection as unknown as Connection;
}
