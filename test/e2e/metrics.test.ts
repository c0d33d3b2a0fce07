// What is measured, where it can be read, and that what ships to read it reads what is there.
import { readFileSync } from "node:fs";
import { get, type IncomingHttpHeaders, type RequestOptions } from "node:http";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { dialLoopback, echoed, endOf } from "../support/tcp.ts";
import { startTunnel, type Tunnel } from "../support/tunnel.ts";

let tunnel: Tunnel;

beforeAll(async () => {
  tunnel = await startTunnel();
});
afterAll(() => tunnel?.stop());

const fetched = (options: RequestOptions) =>
  new Promise<{ status: number | undefined; headers: IncomingHttpHeaders; text: string }>(
    (resolve, reject) => {
      get(options, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        answer.once("end", () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
      }).once("error", reject);
    },
  );

/** The value of a series in the text format. */
const valueOf = (text: string, series: string): number | undefined => {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

const scrape = async () => (await fetched({ socketPath: tunnel.tund.socket, path: "/metrics" })).text;

describe("metrics", () => {
  it("count what happened, and go on counting when a forward is gone", async () => {
    const port = await tunnel.forwardTo(`127.0.0.1:${tunnel.echo.port}`);
    const socket = await dialLoopback(port);
    expect(await echoed(socket, "measured")).toBe("measured");
    const nobody = await tunnel.forwardTo("127.0.0.1:1");
    await endOf(await dialLoopback(nobody));
    const { status, headers, text } = await fetched({ socketPath: tunnel.tund.socket, path: "/metrics" });
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    const expected = {
      'tund_masters{state="ready"}': 1,
      'tund_masters{state="failed"}': 0,
      'tund_master_up{host="testhost"}': 1,
      'tund_master_reconnects_total{host="testhost"}': 0,
      'tund_forwards{kind="local",state="active"}': 2,
      'tund_forwards{kind="remote",state="failed"}': 0,
      'tund_channels_open{kind="local"}': 1,
      'tund_channels_opened_total{kind="local"}': 1,
      'tund_channels_failed_total{kind="local",reason="CHANNEL_CONNECT_FAILED"}': 1,
      'tund_bytes_total{kind="local",direction="in"}': 8,
      'tund_bytes_total{kind="local",direction="out"}': 8,
      'tund_connections_parked{kind="dynamic"}': 0,
    };
    const found = Object.fromEntries(Object.keys(expected).map((series) => [series, valueOf(text, series)]));
    expect(found).toEqual(expected);
    expect(valueOf(text, 'tund_master_round_trip_seconds{host="testhost"}')).toBeGreaterThan(0);
    const { keyExchange } = (await tunnel.master()) ?? {};
    const labels = `{host="testhost",kex="${keyExchange?.algorithm}"}`;
    expect(valueOf(text, `tund_master_post_quantum${labels}`)).toBe(keyExchange?.postQuantum ? 1 : 0);
    expect(valueOf(text, "nodejs_eventloop_lag_p99_seconds")).toBeGreaterThan(0);
    // Cancelled, and still counted: while it drains, and when it is gone.
    await tunnel.ok("cancel", "-L", String(port), "testhost");
    expect(await echoed(socket, "draining")).toBe("draining");
    expect(valueOf(await scrape(), 'tund_bytes_total{kind="local",direction="in"}')).toBe(16);
    socket.destroy();
    await eventually(async () => expect((await tunnel.master())?.channels).toBe(0));
    const after = await scrape();
    expect(valueOf(after, 'tund_bytes_total{kind="local",direction="in"}')).toBe(16);
    expect(valueOf(after, 'tund_channels_opened_total{kind="local"}')).toBe(1);
    expect(valueOf(after, 'tund_forwards{kind="local",state="active"}')).toBe(1);
  });

  it("are on a loopback address only if that is asked for, and on no other", async () => {
    const port = await freePort();
    const tund = await startTund({ env: { TUND_METRICS_LISTEN: `127.0.0.1:${port}` } });
    onTestFinished(async () => void (await tund.stop()));
    const { status, text } = await fetched({ port, host: "127.0.0.1", path: "/metrics" });
    expect([status, valueOf(text, 'tund_masters{state="ready"}')]).toEqual([200, 0]);
    const other = { port, host: "127.0.0.1" };
    expect((await fetched({ ...other, path: "/v1/status" })).status).toBe(404);
    expect((await fetched({ ...other, path: "/metrics", method: "POST" })).status).toBe(405);
    // What a page in a browser could send.
    const headers = { host: "rebound.example:9417" };
    expect((await fetched({ ...other, path: "/metrics", headers })).status).toBe(403);
    for (const wrong of ["0.0.0.0:9417", "192.0.2.1:9417", "[::]:9417", "example.org:1", "x", "70000"])
      await expect(startTund({ env: { TUND_METRICS_LISTEN: wrong } })).rejects.toThrow(/on loopback/);
    await expect(startTund({ env: { TUND_METRICS_LISTEN: String(port) } })).rejects.toThrow(/EADDRINUSE/);
  });

  it("that the dashboard and the alert rules read are all there", async () => {
    const text = await scrape();
    const there = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    for (const file of ["monitoring/grafana-dashboard.json", "monitoring/alerts.yml"]) {
      const read = readFileSync(file, "utf8").match(/\b(tund|nodejs|process)_[a-z0-9_]+/g) ?? [];
      expect(read.length).toBeGreaterThan(5);
      expect([...new Set(read)].filter((name) => !there.has(name))).toEqual([]);
    }
    JSON.parse(readFileSync("monitoring/grafana-dashboard.json", "utf8"));
  });
});
