// Prometheus metrics: the only room that knows prom-client, which is loaded when they are first asked for.
import type * as Prom from "prom-client";
import type { Counter, Gauge, Registry as Register } from "prom-client";
import type { Master, Status } from "../shared/records.ts";
import type { Measures, Tally } from "./masters/measures.ts";
import type { TotalsByKind } from "./masters/totals.ts";
import { inSlices } from "./slices.ts";
import type { Turns } from "./turns.ts";

/** Everything that is measured, as it is now. */
interface Figures extends Tally, Health {
  /** as many as are measured by themselves */
  hosts: Pick<Master, "host" | "state" | "roundTripMs" | "reconnects" | "keyExchange">[];
  totals: TotalsByKind;
}

export interface Metrics {
  /** The media type of the text. */
  contentType: string;
  /** The text of one scrape. */
  text(): Promise<string>;
}

const masterStates = ["idle", "connecting", "ready", "waiting", "blocked", "failed", "closing"] as const;
const forwardStates = ["pending", "active", "failed"] as const;
const kinds = ["local", "remote", "dynamic"] as const;
// Series by host are as many as the hosts that were asked for, and no more than this.
const MOST_HOSTS = 500;
// The event loop's delay is sampled as often: ten times a second costs nothing that could be measured.
const SAMPLE_MS = 100;

type Health = Pick<Status["daemon"], "log" | "descriptors">;
type GetFigures = () => Promise<Figures>;

async function createMetrics(version: string, figures: GetFigures, slices: Turns): Promise<Metrics> {
  const prom = await import("prom-client");
  const register = new prom.Registry();
  prom.collectDefaultMetrics({ register, eventLoopMonitoringPrecision: SAMPLE_MS });
  const series = makeSeries(prom, register);
  series.info.set({ version }, 1);
  let last = Promise.resolve("");
  return {
    contentType: register.contentType,
    // One after the other: they are written from the same series, in slices.
    text: () => {
      const text = last.then(() => written(register, series, { figures, slices }));
      last = text.catch(() => "");
      return text;
    },
  };
}

async function written(
  register: Register,
  series: Series,
  { figures, slices }: { figures: GetFigures; slices: Turns },
): Promise<string> {
  fill(series, await figures());
  const names = register.getMetricsAsArray().map(({ name }) => name);
  const texts = await inSlices(slices, names, (name) => register.getSingleMetricAsString(name));
  return `${texts.join("\n\n")}\n`;
}

/** The metrics of one daemon, made when they are first asked for, and again when that failed. */
export function metricsWhenAsked(
  version: string,
  measures: Pick<Measures, "figures">,
  health: () => Health,
  slices: Turns,
): () => Promise<Metrics> {
  const figures = async () => ({ ...(await measures.figures(MOST_HOSTS)), ...health() });
  let made: Promise<Metrics> | undefined;
  return () => {
    const making = made ?? createMetrics(version, figures, slices);
    made = making;
    making.catch(() => {
      if (made === making) made = undefined;
    });
    return making;
  };
}

type Series = ReturnType<typeof makeSeries>;

function makeSeries(prom: typeof Prom, register: Register) {
  const registers = [register];
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> =>
    new prom.Gauge({ name: `tund_${name}`, help, labelNames, registers });
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> =>
    new prom.Counter({ name: `tund_${name}_total`, help, labelNames, registers });
  return {
    info: gauge("info", "The daemon's version; always 1", "version"),
    masters: gauge("masters", "Masters by state", "state"),
    up: gauge("master_up", "1 while the master is ready", "host"),
    kept: gauge("master_wanted", "1 if the master is to be ready without being asked for", "host"),
    roundTrip: gauge("master_round_trip_seconds", "The round trip that was measured last", "host"),
    postQuantum: gauge(
      "master_post_quantum",
      "1 while the keys of the link were exchanged in a post-quantum way, 0 while they were not",
      "host",
      "kex",
    ),
    reconnects: counter("master_reconnects", "Links that came back after one was lost", "host"),
    forwards: gauge("forwards", "Forwards by kind and state", "kind", "state"),
    open: gauge("channels_open", "Channels that are open, by kind of forward", "kind"),
    parked: gauge("connections_parked", "Connections that wait for their link, by kind of forward", "kind"),
    opened: counter("channels_opened", "Channels that were opened, by kind of forward", "kind"),
    failed: counter(
      "channels_failed",
      "Connections that got no channel, by kind of forward and reason",
      "kind",
      "reason",
    ),
    logLost: counter("log_lines_lost", "Lines of the log that could not be written"),
    refused: counter("connections_refused", "Connections that were refused for want of descriptors"),
    bytes: counter(
      "bytes",
      "Bytes carried; in: from the network to whoever connected here or listens here, out: the other way",
      "kind",
      "direction",
    ),
  };
}

function fill(series: Series, { masters, hosts, forwards, totals, log, descriptors }: Figures): void {
  for (const state of masterStates) series.masters.set({ state }, masters[state]);
  fillHosts(series, hosts);
  for (const kind of kinds) {
    const { states, open, parked } = forwards[kind];
    for (const state of forwardStates) series.forwards.set({ kind, state }, states[state]);
    series.open.set({ kind }, open);
    series.parked.set({ kind }, parked);
  }
  fillTotals(series, totals);
  series.logLost.reset();
  series.logLost.inc(log.lost);
  series.refused.reset();
  series.refused.inc(descriptors.refused);
}

function fillHosts(series: Series, hosts: Figures["hosts"]): void {
  const { up, kept, roundTrip, postQuantum, reconnects } = series;
  // A host that is gone has no series any more.
  for (const metric of [up, kept, roundTrip, postQuantum, reconnects]) metric.reset();
  for (const { host, state, roundTripMs, keyExchange, reconnects: times } of hosts) {
    up.set({ host }, state === "ready" ? 1 : 0);
    kept.set({ host }, state === "idle" ? 0 : 1);
    if (keyExchange !== null)
      postQuantum.set({ host, kex: keyExchange.algorithm }, keyExchange.postQuantum ? 1 : 0);
    if (roundTripMs !== null) roundTrip.set({ host }, roundTripMs / 1000);
    reconnects.inc({ host }, times);
  }
}

function fillTotals({ opened, failed, bytes }: Series, totals: TotalsByKind): void {
  for (const metric of [opened, failed, bytes]) metric.reset();
  for (const kind of kinds) {
    opened.inc({ kind }, totals[kind].opened);
    for (const [reason, count] of Object.entries(totals[kind].failedBy)) failed.inc({ kind, reason }, count);
    bytes.inc({ kind, direction: "in" }, totals[kind].bytes.in);
    bytes.inc({ kind, direction: "out" }, totals[kind].bytes.out);
  }
}
