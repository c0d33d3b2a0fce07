// What who reads the log, and who asks for much at once, can do: nobody waits for them.
import { get, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Client } from "../../cli/client.ts";
import { atPath } from "../support/at-path.ts";
import type { Tund } from "../support/daemon.ts";
import { dialPath, endOf } from "../support/tcp.ts";
import { freePort } from "../support/free-port.ts";
import { type Sshd, startSshd } from "../support/sshd.ts";
import { LONG, lateRuns, ok } from "./late-runs.ts";

let station: Sshd;
let sshd: Sshd;
beforeAll(async () => {
  [station, sshd] = await Promise.all([startSshd(), startSshd()]);
});
afterAll(async () => {
  await station?.stop();
  await sshd?.stop();
});

// A pipe that is open for reading, by tund itself, and not read.
const STILL = `mkfifo "$HOME/log" && exec 3<>"$HOME/log" && exec "$0" "$@" >&3 2>&1`;
// More lines than a pipe holds.
const REFUSED = 600;
const AT_ONCE = 20;

it("a reader of the log that stands still keeps nobody waiting", LONG, async () => {
  const dead = await freePort();
  expect(
    await lateRuns({
      station,
      tund: {
        env: { TUND_SSH_CONFIG: sshd.sshConfig },
        within: ["sh", "-c", STILL],
      },
      make: async (tund) => {
        const path = join(tund.home, "refused");
        await ok(tund, ["forward", "--ephemeral", "-L", `${path}:127.0.0.1:${dead}`, "testhost"]);
        for (let done = 0; done < REFUSED; done += AT_ONCE)
          await Promise.all(Array.from({ length: AT_ONCE }, () => refused(path)));
        await ok(tund, ["status"]);
      },
    }),
  ).toEqual([]);
});

const PATIENCE_MS = 5000;

/** One connection that the far end refuses. @throws Error when tund does not end it in time */
async function refused(path: string): Promise<void> {
  const socket = await dialPath(path);
  const late = AbortSignal.timeout(PATIENCE_MS);
  late.addEventListener("abort", () => socket.destroy(new Error("tund does not go on")));
  await endOf(socket);
  if (late.aborted) throw new Error("tund does not go on");
}

const FORWARDS = 1000;
const IN_ONE_REQUEST = 250;
const ASKED = 10;

const specs = (tund: Tund, first: number) =>
  Array.from({ length: IN_ONE_REQUEST }, (_, index) => ({
    kind: "local" as const,
    spec: `${join(tund.home, `s${first + index}`)}:127.0.0.1:1`,
  }));

const openAt = (tund: Tund, first: number) =>
  new Client(atPath(tund.socket)).call("openForwards", {
    body: { host: "testhost", forwards: specs(tund, first), ephemeral: true },
  });

it("a request for 250 forwards keeps nobody waiting", LONG, async () => {
  const late = await lateRuns({
    station,
    tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig } },
    make: async (tund) => void (await openAt(tund, 0)),
  });
  expect(late).toEqual([]);
});

it("asking for the list and the metrics of a thousand forwards keeps nobody waiting", LONG, async () => {
  const late = await lateRuns({
    station,
    tund: { env: { TUND_SSH_CONFIG: sshd.sshConfig } },
    prepare: async (tund) => {
      for (let first = 0; first < FORWARDS; first += IN_ONE_REQUEST) await openAt(tund, first);
    },
    make: async (tund) => {
      for (let i = 0; i < ASKED; i++) {
        const { forwards } = await new Client(atPath(tund.socket)).call("listForwards", { querystring: {} });
        expect(forwards.length).toBeGreaterThanOrEqual(FORWARDS);
        expect(await metrics(tund.socket)).toContain("tund_");
      }
    },
  });
  expect(late).toEqual([]);
});

async function metrics(socketPath: string): Promise<string> {
  const asked = get({ socketPath, path: "/metrics", agent: false });
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  return text(answer);
}
