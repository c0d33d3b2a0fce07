// Prometheus metrics: the only room that knows prom-client, which is loaded when they are first asked for.
import type * as Prom from "prom-client";
import type { Counter, Gauge, Registry as Register } from "prom-client";
import type { Forward, Master } from "../shared/records.ts";
import type { TotalsByKind } from "./masters/totals.ts";

/** Everything that is measured, as it is now. */
export interface Figures {
  masters: Master[];
  forwards: Forward[];
  totals: TotalsByKind;
}

export interface Metrics {
  /** The media type of the text. */
  contentType: string;
  /** The text of one scrape. */
  text(): Promise<string>;
}

const masterStates = ["idle", "connecting", "ready", "waiting", "blocked", "failed", "closing"];
const forwardStates = ["pending", "active", "failed"];
const kinds = ["local", "remote", "dynamic"] as const;
// Series by host are as many as the hosts that were asked for, and no more than this.
const MOST_HOSTS = 500;
// The event loop's delay is sampled as often: ten times a second costs nothing that could be measured.
const SAMPLE_MS = 100;

/** Makes the metrics of one daemon. */
export async function createMetrics(version: string, figures: () => Figures): Promise<Metrics> {
  const prom = await import("prom-client");
  const register = new prom.Registry();
  prom.collectDefaultMetrics({ register, eventLoopMonitoringPrecision: SAMPLE_MS });
  const series = makeSeries(prom, register);
  series.info.set({ version }, 1);
  return {
    contentType: register.contentType,
    text: () => {
      fill(series, figures());
      return register.metrics();
    },
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
    bytes: counter(
      "bytes",
      "Bytes carried; in: from the network to whoever connected here or listens here, out: the other way",
      "kind",
      "direction",
    ),
  };
}

function fill(series: Series, { masters, forwards, totals }: Figures): void {
  for (const state of masterStates)
    series.masters.set({ state }, masters.filter((master) => master.state === state).length);
  fillHosts(series, masters.slice(0, MOST_HOSTS));
  for (const kind of kinds)
    fillKind(
      series,
      kind,
      forwards.filter((forward) => forward.kind === kind),
    );
  fillTotals(series, totals);
}

function fillHosts({ up, kept, roundTrip, reconnects }: Series, masters: readonly Master[]): void {
  // A host that is gone has no series any more.
  for (const metric of [up, kept, roundTrip, reconnects]) metric.reset();
  for (const master of masters) {
    const { host } = master;
    up.set({ host }, master.state === "ready" ? 1 : 0);
    kept.set({ host }, master.state === "idle" ? 0 : 1);
    if (master.roundTripMs !== null) roundTrip.set({ host }, master.roundTripMs / 1000);
    reconnects.inc({ host }, master.reconnects);
  }
}

function fillKind(series: Series, kind: string, forwards: readonly Forward[]): void {
  for (const state of forwardStates)
    series.forwards.set({ kind, state }, forwards.filter((forward) => forward.state === state).length);
  const sum = (count: (forward: Forward) => number) =>
    forwards.reduce((total, forward) => total + count(forward), 0);
  series.open.set(
    { kind },
    sum(({ channels }) => channels.open),
  );
  series.parked.set(
    { kind },
    sum(({ channels }) => channels.parked),
  );
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
