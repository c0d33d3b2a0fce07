// tund as a service of the machine, under a real systemd: what README's section for operators claims.
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { describeOnMachine } from "./machine.ts";
import { makeWorld, type World } from "./world.ts";

const [ECHO, FORWARD] = [4001, 4002];

const property = (name: string): string => `systemctl show tund.service -p ${name} --value`;

describeOnMachine()("the system service", () => {
  let world: World;
  const sh = (script: string) => world.machine.sh(script);
  const isAnswering = () => eventually(() => sh("tunctl check testhost"), { deadlineMs: 15_000 });

  beforeAll(async () => {
    world = await makeWorld();
    await world.letIn("tund");
  });
  afterAll(() => world.stop());

  it("is started by the first tunctl, which finds the machine's socket and says so with -v", async () => {
    await sh("systemctl start tund.socket");
    expect(await sh("systemctl is-active tund.service || true")).toBe("inactive");
    expect(await sh("tunctl -v status 2>&1 >/dev/null")).toBe(
      "tunctl: speaking to tund on /run/tund/tund.sock",
    );
    expect(await sh("systemctl is-active tund.service")).toBe("active");
    expect(await sh("stat -c '%U %a' /run/tund /run/tund/tund.sock")).toBe("tund 700\ntund 600");
  });

  it("serves root and the user tund, and nobody else", async () => {
    expect(await sh("runuser -u tund -- tunctl --socket /run/tund/tund.sock version -v")).toMatch(/tund \d/);
    await expect(sh("runuser -u nobody -- tunctl --socket /run/tund/tund.sock status")).rejects.toThrow(
      /permission/,
    );
  });

  it("asks the kernel who speaks to it, where the socket's mode does not keep others away", async () => {
    await sh("chmod 755 /run/tund; chmod 666 /run/tund/tund.sock");
    await expect(sh("runuser -u nobody -- tunctl --socket /run/tund/tund.sock status")).rejects.toThrow(
      /went away/,
    );
    await sh("chmod 700 /run/tund; chmod 600 /run/tund/tund.sock");
    expect(await sh("journalctl -u tund.service -o cat -p warning")).toMatch(/refused: a peer of uid 65534/);
  });

  it("carries a forward, and tells systemd how it is", async () => {
    const visitors = await world.expectVisitors(ECHO, FORWARD);
    await sh(`tunctl forward -L ${FORWARD}:127.0.0.1:${ECHO} testhost`);
    visitors.open();
    await eventually(async () =>
      /1 of 1 masters ready, 1 of 1 forwards active/.test(await sh(property("StatusText"))),
    );
    const { served, ...others } = await visitors.close();
    expect(served).toBeGreaterThan(0);
    expect(others).toMatchObject({ refused: 0, reset: 0, late: 0 });
  });

  it.each([
    ["a restart", "systemctl restart tund.service"],
    ["kill -9", "systemctl kill -s KILL --kill-who=main tund.service"],
  ])("refuses nobody while it goes through %s under 50 connections a second", async (_, command) => {
    const visitors = await world.expectVisitors(ECHO, FORWARD);
    const before = await sh(property("MainPID"));
    visitors.open();
    await sh(command);
    await eventually(async () => !["0", before].includes(await sh(property("MainPID"))));
    await isAnswering();
    await sh("tunctl wait testhost");
    const { served, ...others } = await visitors.close();
    expect(others).toMatchObject({ refused: 0, late: 0 });
    expect(served).toBeGreaterThan(5);
    // Who is being served when it is killed loses the connection, and nobody else.
    expect(others.reset).toBeLessThanOrEqual(command.includes("KILL") ? 3 : 0);
    console.log(`measured: ${served} served, ${others.reset} cut, the longest waited ${others.longestMs} ms`);
  });

  it("has the whole queue for those who come at once, also after a restart", async () => {
    expect(await sh(`ss -Hltn sport = :${FORWARD} src 127.0.0.1`)).toMatch(/^LISTEN\s+0\s+4096\s/);
  });

  it("keeps no port open for a forward that was forgotten", async () => {
    await sh(`tunctl forward --ephemeral -L 4003:127.0.0.1:${ECHO} testhost`);
    await sh("systemctl kill -s KILL --kill-who=main tund.service");
    await isAnswering();
    expect(await sh("tunctl list")).not.toMatch(/4003/);
    await eventually(async () => expect(await sh("ss -Hltn sport = :4003")).toBe(""));
  });

  it("reloads on request: systemd waits until it is done", async () => {
    await sh("systemctl reload tund.service");
    expect(await sh("systemctl is-active tund.service")).toBe("active");
    expect(await sh("journalctl -u tund.service -o cat | grep -c reloading")).toBe("1");
  });

  it("is started again when it hangs", async () => {
    await sh(`mkdir -p /run/systemd/system/tund.service.d
      printf '[Service]\\nWatchdogSec=1\\nTimeoutStopSec=2\\n' >/run/systemd/system/tund.service.d/lab.conf
      systemctl daemon-reload; systemctl restart tund.service`);
    await isAnswering();
    const before = await sh(property("MainPID"));
    await sh(`kill -STOP ${before}`);
    await eventually(async () => !["0", before].includes(await sh(property("MainPID"))), {
      deadlineMs: 20_000,
    });
    await isAnswering();
    expect(await sh("journalctl -u tund.service -o cat")).toMatch(/Watchdog timeout/);
    await sh(
      "rm -r /run/systemd/system/tund.service.d; systemctl daemon-reload; systemctl restart tund.service",
    );
    await isAnswering();
  });

  it("keeps nothing of a stop: the port is free, and the forward comes back with the next start", async () => {
    await sh("systemctl stop tund.service 2>/dev/null");
    expect(await sh(`ss -Hltn sport = :${FORWARD}`)).toBe("");
    await isAnswering();
    expect(await sh("tunctl list --json testhost")).toContain('"state": "active"');
  });

  it("logs with priorities and fields, and no key", async () => {
    const lines = (await sh("journalctl -u tund.service -o json"))
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, string>);
    const ready = lines.find(({ MESSAGE }) => MESSAGE === "testhost: master ready");
    expect(ready).toMatchObject({ PRIORITY: "6", TUND_HOST: "testhost", SYSLOG_IDENTIFIER: "tund" });
    const listening = lines.find(({ MESSAGE }) => /listening for/.test(MESSAGE ?? ""));
    expect(listening).toMatchObject({ TUND_FORWARD: expect.stringMatching(/^[a-z0-9]{4}$/) as string });
    world.sshd.dropSessions();
    const lost = await eventually(
      async () =>
        (await sh("journalctl -u tund.service -o json -n 20"))
          .split("\n")
          .map((line) => JSON.parse(line) as Record<string, string>)
          .find(({ TUND_CODE }) => TUND_CODE === "CONNECTION_LOST") ?? false,
    );
    expect(lost).toMatchObject({ PRIORITY: "4", TUND_HOST: "testhost" });
    expect(JSON.stringify(lines)).not.toMatch(/PRIVATE KEY/);
  });

  it("leaves no core dump, in which its memory would be", async () => {
    const limits = await sh(`cat /proc/$(${property("MainPID")})/limits`);
    expect(limits).toMatch(/^Max core file size\s+0\s+0\s/m);
  });

  it("takes identities from systemd's credentials", async () => {
    await sh(`mkdir -p /etc/systemd/system/tund.service.d /etc/tund
      mv /var/lib/tund/.ssh/id_test /etc/tund/db_key; chown root: /etc/tund/db_key
      printf '[Service]\\nLoadCredential=db_key:/etc/tund/db_key\\n' >/etc/systemd/system/tund.service.d/key.conf
      sed -i 's|~/.ssh/id_test|\${CREDENTIALS_DIRECTORY}/db_key|' /var/lib/tund/.ssh/config
      systemctl daemon-reload; systemctl restart tund.service`);
    await isAnswering();
    expect(await sh("tunctl status testhost")).toMatch(/ready/);
  });

  it("runs a ProxyCommand and a Match exec inside its walls", async () => {
    await sh(`cat >>/var/lib/tund/.ssh/config <<'END'
Match originalhost behind exec "test -r /etc/hostname"
  HostName 127.0.0.1
  Port ${world.sshd.port}
  User ${world.sshd.user}
  IdentityFile \${CREDENTIALS_DIRECTORY}/db_key
  ProxyCommand ssh -F /var/lib/tund/.ssh/config -W %h:%p testhost
END
    `);
    await sh("tunctl connect behind");
    expect(await sh("tunctl check behind")).toMatch(/^Master running/);
    await sh("tunctl exit behind");
  });

  it("listens below 1024 with the drop-in that its unit tells of", async () => {
    await expect(sh(`tunctl forward -L 81:127.0.0.1:${ECHO} testhost`)).rejects.toThrow(/permission denied/);
    await sh(`printf '%s\\n' '[Service]' AmbientCapabilities=CAP_NET_BIND_SERVICE \
        CapabilityBoundingSet=CAP_NET_BIND_SERVICE PrivateUsers=no >/etc/systemd/system/tund.service.d/ports.conf
      systemctl daemon-reload; systemctl restart tund.service`);
    await isAnswering();
    await sh(`tunctl forward -L 81:127.0.0.1:${ECHO} testhost`);
    expect(await sh("ss -Hltn sport = :81")).toContain("127.0.0.1:81");
    await sh("tunctl cancel -L 81 testhost");
  });

  it("scores at most 2.0, and systemd finds nothing wrong with its units", async () => {
    const report = await sh("systemd-analyze security tund.service --no-pager | tail -1");
    const [, score = "10"] = /level for tund\.service: ([\d.]+)/.exec(report) ?? [];
    expect(Number(score)).toBeLessThanOrEqual(2);
    console.log(`measured: systemd-analyze security ${score}`);
    const complaints = await sh("systemd-analyze verify tund.service tund.socket 2>&1 || true");
    expect(complaints).toBe("");
  });

  it("brings its forwards back when the machine comes up after a power cut", async () => {
    await sh("systemctl enable tund.service 2>&1");
    await world.machine.reboot();
    await isAnswering();
    expect(await sh("tunctl list --json")).toMatch(/"port": 4002[^]*"state": "active"/);
  });
});
