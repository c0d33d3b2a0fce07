// A host that ends tund, under a real systemd: the service stays up, and the others are served.
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Master } from "../../shared/records.ts";
import { eventually } from "../support/eventually.ts";
import { faultHook } from "../support/planted-fault.ts";
import { describeOnMachine } from "./machine.ts";
import { makeWorld, type World } from "./world.ts";

const [ECHO, FORWARD, BAD_FORWARD] = [4001, 4002, 4003];
const ARMED = "/etc/tund-fault-armed";

describeOnMachine()("a host in whose turn the service has ended twice", () => {
  let world: World;
  const sh = (script: string) => world.machine.sh(script);

  beforeAll(async () => {
    world = await makeWorld();
    await world.letIn("tund");
    // What answers there says back what it is told, which is enough to be a server whose bytes come.
    await sh(`
      printf 'Host bad\\n  HostName 127.0.0.1\\n  Port ${ECHO}\\n' >>$(getent passwd tund | cut -d: -f6)/.ssh/config
      mkdir -p /etc/systemd/system/tund.service.d
      printf '[Service]\\nEnvironment=NODE_OPTIONS=--require=/etc/tund-fault.cjs\\n' >/etc/systemd/system/tund.service.d/fault.conf
      cat >/etc/tund-fault.cjs <<'END'\n${faultHook(ECHO, "throw", ARMED)}END
      systemctl daemon-reload
      systemctl start tund.socket`);
  });
  afterAll(() => world.stop());

  it("is left alone: the unit stays up after two restarts, and the others are served", async () => {
    const visitors = await world.expectVisitors(ECHO, FORWARD);
    await sh(`tunctl forward -L ${FORWARD}:127.0.0.1:${ECHO} testhost`);
    await sh(`tunctl forward --no-wait -L ${BAD_FORWARD}:127.0.0.1:${ECHO} bad`);
    await sh(`touch ${ARMED}; tunctl reconnect bad || true`);
    const suspect = await eventually(
      async () => {
        const { masters } = JSON.parse(await sh("tunctl status --json")) as { masters: Master[] };
        const bad = masters.find(({ host }) => host === "bad");
        return bad?.state === "failed" && bad.failure?.code === "INTERNAL" && bad;
      },
      { deadlineMs: 20_000 },
    );
    expect(suspect.failure?.message).toMatch(/^tund ended while handling bad, twice within ten minutes/);
    await eventually(() => sh("tunctl check testhost"), { deadlineMs: 15_000 });
    visitors.open();
    for (let times = 0; times < 5; times++) await sh("tunctl check testhost"); // they have come meanwhile
    const { served, ...others } = await visitors.close();
    expect(served).toBeGreaterThan(0);
    expect(others).toMatchObject({ refused: 0, reset: 0, late: 0 });
    expect(await sh("systemctl show tund.service -p ActiveState -p NRestarts")).toBe(
      "NRestarts=2\nActiveState=active",
    );
  });
});
