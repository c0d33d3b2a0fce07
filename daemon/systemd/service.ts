// The daemon as a service of systemd: that it is ready, how it is, that it lives, and what is kept while it is restarted.
import { type Clock, type Timer } from "../../shared/clock.ts";
import type { Log } from "../../shared/log.ts";
import type { Registry } from "../masters/registry.ts";
import type { Native } from "../../shared/native/load.ts";
import { DescriptorStore, type Inherited } from "./descriptor-store.ts";
import { Notifier } from "./notifier.ts";

/** What systemd has passed in the environment. */
export interface SystemdConfig {
  /** NOTIFY_SOCKET */
  notifySocket: string | null;
  /** how often it wants a sign of life, in ms (WATCHDOG_USEC) */
  watchdogMs: number | null;
  /** LISTEN_FDS, LISTEN_FDNAMES */
  inherited: readonly Inherited[];
}

interface ServiceOptions extends SystemdConfig {
  native: Native | null;
  clock: Clock;
  log: Log;
}

/** What the socket unit's descriptor is called: FileDescriptorName=, or the name of the unit. */
const CONTROL = new Set(["control", "tund.socket"]);
const STATUS_EVERY_MS = 1000;
// A host that ssh_config cannot be asked about would have its listeners kept, and nobody served, for ever.
const UNCLAIMED_AFTER_MS = 60_000;

export class Service {
  readonly listeners: DescriptorStore;
  readonly #options: ServiceOptions;
  readonly #notifier: Notifier;
  #status: Timer | undefined;

  constructor(options: ServiceOptions) {
    const { notifySocket: socket, native, log } = options;
    this.#options = options;
    this.#notifier = new Notifier({ socket, native, log });
    this.listeners = new DescriptorStore(this.#notifier, options.inherited);
  }

  /** The control socket that systemd listens on for the daemon, if it does. */
  get controlSocket(): { fd: number; knowsPeers: boolean } | undefined {
    const { inherited, native } = this.#options;
    const found = inherited.find(({ name }) => CONTROL.has(name));
    return found && { fd: found.fd, knowsPeers: native !== null };
  }

  /** The control socket answers, and the state is loaded. */
  ready(registry: Registry): void {
    const { clock, watchdogMs, notifySocket, inherited } = this.#options;
    // What a change is costs more to find out than to make one: not for nobody.
    if (notifySocket === null && inherited.length === 0) return;
    this.#notifier.tell({ READY: 1, STATUS: statusOf(registry) });
    const onChange = () => {
      this.#status ??= clock.after(STATUS_EVERY_MS, () => {
        this.#status = undefined;
        this.#notifier.tell({ STATUS: statusOf(registry) });
        if (isRestored(registry)) this.listeners.discardUnclaimed();
      });
    };
    onChange();
    void registry.watch(undefined, { onChange, onEnd: () => this.#status?.cancel() });
    clock.after(UNCLAIMED_AFTER_MS, () => this.listeners.discardUnclaimed());
    // Told by the loop that serves everything: if it hangs, so does this.
    if (watchdogMs !== null) this.#live(watchdogMs / 2);
  }

  reloading(): void {
    const MONOTONIC_USEC = Math.round(Number(process.hrtime.bigint() / 1000n));
    this.#notifier.tell({ RELOADING: 1, MONOTONIC_USEC });
  }

  reloaded(registry: Registry): void {
    this.#notifier.tell({ READY: 1, STATUS: statusOf(registry) });
  }

  /** The daemon ends: the listeners of forwards that come back stay with systemd. */
  stopping(registry: Registry): void {
    this.#status?.cancel();
    const wanted = new Set(registry.measures.keptListeners());
    this.listeners.freeze((where) => wanted.has(where));
    this.#notifier.tell({ STOPPING: 1, STATUS: "ending; established connections have 5 s" });
  }

  #live(everyMs: number): void {
    this.#notifier.tell({ WATCHDOG: 1 });
    this.#options.clock.after(everyMs, () => this.#live(everyMs));
  }
}

/** Whether every forward that was saved has taken its listener, or will not. */
function isRestored(registry: Registry): boolean {
  const { local, dynamic } = registry.measures.tally().forwards;
  return local.states.pending + dynamic.states.pending === 0;
}

function statusOf(registry: Registry): string {
  const { masters, forwards } = registry.measures.tally();
  const kinds = Object.values(forwards);
  const active = sum(kinds.map(({ states }) => states.active));
  const all = sum(kinds.flatMap(({ states }) => Object.values(states)));
  const channels = sum(kinds.map(({ open }) => open));
  return `${masters.ready} of ${sum(Object.values(masters))} masters ready, ${active} of ${all} forwards active, ${channels} channels`;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
