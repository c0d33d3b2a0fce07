// Forwards that keep a place for a restored host are gone when the host has its true master, from the totals too.
import { queryObjects } from "node:v8";
import { expect, it, onTestFinished } from "vitest";
import { Forward } from "../../daemon/forwards/forward.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { startInProcess } from "../support/in-process.ts";
import { startSshd } from "../support/sshd.ts";

it("a forward that was restored exists once, and is counted once", async () => {
  const sshd = await startSshd();
  onTestFinished(() => sshd.stop());
  const daemon = await startInProcess(sshd.sshConfig);
  onTestFinished(() => daemon.close());
  const { registry } = daemon;
  const common = { name: null, gatewayPorts: false, onDemand: false, idleSeconds: null, allocatedPort: null };
  const forwards = [];
  for (const id of ["a111", "b222", "c333"])
    forwards.push({ ...common, id, kind: "local" as const, spec: `${await freePort()}:127.0.0.1:1` });
  registry.restore([{ host: "testhost", kept: true, connection: null, forwards }]);
  await eventually(() => expect(registry.measures.tally().forwards.local.states.active).toBe(3));
  // It collects what nothing leads to any more.
  await eventually(() => expect(queryObjects(Forward, { format: "count" })).toBe(3));
});
