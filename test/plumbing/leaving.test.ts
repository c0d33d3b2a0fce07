import { expect } from "vitest";
import type { Master } from "../../shared/records.ts";
import { eventually } from "../support/eventually.ts";
import { openDescriptors } from "../support/process-figures.ts";
import { signal } from "../support/process-tree.ts";
import { echoed } from "../support/tcp.ts";
import { everyWay, type OpenWay, pairOf, plumbing } from "./every-way.ts";
import { breakOff, converse } from "./pump.ts";
import type { Subject } from "./subjects.ts";

const on = plumbing();
const CLIENTS = 10;

everyWay(on, "keeps nothing of clients that left while their channels were being opened", async (way) => {
  const { subject, far } = way;
  const opened = await channels(subject);
  const before = { ...held(subject), destination: far.open() };
  far.echo(true);
  // Whoever would answer stands still, so that every client has left before its channel is there.
  standStill(way, true);
  try {
    for (let client = 0; client < CLIENTS; client++) {
      const socket = await way.start();
      if (client % 2 === 0) socket.destroy();
      else breakOff(socket);
    }
  } finally {
    standStill(way, false);
  }
  // One more, and it comes last: when it is answered, the others have been heard of everywhere.
  const last = await way.connect();
  expect(await echoed(last.resume(), "still here")).toBe("still here");
  last.destroy();
  await eventually(() => {
    const now = held(subject);
    // Fewer when something of an earlier case was still on its way out.
    expect(now.subject).toBeLessThanOrEqual(before.subject);
    expect(now.server).toBeLessThanOrEqual(before.server);
    expect(far.open()).toBe(before.destination);
  });
  await eventually(async () => expect(await channels(subject)).toBe(opened));
  far.echo(false);
  await converse(await pairOf(way));
  return "nothing is left";
});

function standStill({ kind, subject }: OpenWay, still: boolean): void {
  if (kind.opener === "subject") signal(subject.pid, still ? "SIGSTOP" : "SIGCONT");
  else if (still) subject.sshd.freeze();
  else subject.sshd.thaw();
}

/** Descriptors of the subject, and of the server's processes that serve it. */
const held = ({ pid, sshd }: Subject) => ({
  subject: openDescriptors(pid),
  server: sshd.sessions().reduce((sum, session) => sum + openDescriptors(session), 0),
});

/** What tund says that it has open; OpenSSH does not say. */
async function channels({ tund }: Subject): Promise<number> {
  if (tund === null) return 0;
  const { stdout } = await tund.tunctl(["status", "--json"]);
  return (JSON.parse(stdout) as { masters: Master[] }).masters[0]?.channels ?? Number.NaN;
}
