// tund as a person's own service, installed from npm's package by `tunctl setup-systemd`, under a real systemd.
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { describeOnMachine, installByNpm } from "./machine.ts";
import { makeWorld, type World } from "./world.ts";

const [ECHO, FORWARD] = [4001, 4002];

describeOnMachine()("the user's service", () => {
  let world: World;
  const sh = (script: string) => world.machine.sh(script);
  /** as a login has it, and nothing of root's */
  const as = (user: string, command: string) =>
    sh(`cd /; exec runuser -u ${user} -- env -i HOME=/home/${user} PATH=/usr/local/bin:/usr/bin:/bin \
      XDG_RUNTIME_DIR=/run/user/$(id -u ${user}) sh -euc ${quoted(command)}`);
  const isAnswering = () => eventually(() => as("alice", "tunctl check testhost"), { deadlineMs: 15_000 });

  beforeAll(async () => {
    world = await makeWorld(installByNpm);
    await sh("for user in alice bob; do useradd -m -s /bin/bash $user; loginctl enable-linger $user; done");
    await eventually(() => sh("systemctl is-active user@$(id -u alice) user@$(id -u bob)"));
    await world.letIn("alice");
  });
  afterAll(() => world.stop());

  it("is told of where nothing is set up yet", async () => {
    await expect(as("alice", "tunctl status")).rejects.toThrow(
      /exit 3\n.*start it with 'tund &', or have systemd do it: 'tunctl setup-systemd --user'/,
    );
  });

  it("is set up from npm's package, and runs", async () => {
    const uid = await sh("id -u alice");
    expect(await as("alice", "tunctl setup-systemd --user")).toBe(
      `wrote /home/alice/.config/systemd/user/tund.service
wrote /home/alice/.config/systemd/user/tund.socket
tund runs on /run/user/${uid}/tund/tund.sock, and will from your login on`,
    );
    expect(await as("alice", "tunctl -v status 2>&1")).toMatch(
      /^tunctl: speaking to tund on \/run\/user\/\d+\/tund\/tund\.sock\ntund [^\n]*running/,
    );
    await as(
      "alice",
      "systemd-analyze --user verify ~/.config/systemd/user/tund.service 2>&1 | grep -v man || true",
    );
  });

  it("is started by tunctl, and says how where its socket is closed", async () => {
    await as("alice", "systemctl --user stop tund.socket tund.service");
    await expect(as("alice", "tunctl status")).rejects.toThrow(/start it with 'systemctl --user start tund'/);
    await as("alice", "systemctl --user start tund.socket");
    expect(await as("alice", "systemctl --user is-active tund.service || true")).toBe("inactive");
    await as("alice", "tunctl status");
    expect(await as("alice", "systemctl --user is-active tund.service")).toBe("active");
  });

  it("refuses nobody while it is set up anew, which restarts it", async () => {
    const visitors = await world.expectVisitors(ECHO, FORWARD);
    await as("alice", `tunctl forward --name echo -L ${FORWARD}:127.0.0.1:${ECHO} testhost`);
    const before = await as("alice", "systemctl --user show tund -p MainPID --value");
    visitors.open();
    await as("alice", "tunctl setup-systemd --user");
    expect(await as("alice", "systemctl --user show tund -p MainPID --value")).not.toBe(before);
    await isAnswering();
    const { served, ...others } = await visitors.close();
    expect(served).toBeGreaterThan(5);
    expect(others).toMatchObject({ refused: 0, reset: 0, late: 0 });
  });

  it("has its units written where nobody else can write, and in the place of a link that stands there", async () => {
    const units = "/home/alice/.config/systemd/user";
    await as(
      "alice",
      `chmod 777 ${units}; echo precious >~/precious; ln -sf ~/precious ${units}/tund.service`,
    );
    await expect(as("alice", "tunctl setup-systemd --user")).rejects.toThrow(
      `units are not written to ${units}: others may write in ${units} (mode 0777): chmod go-w ${units}`,
    );
    expect(await as("alice", `cat ~/precious; ls ${units} | grep -c '^tund'`)).toBe("precious\n2");
    await as("alice", `chmod go-w ${units}; tunctl setup-systemd --user`);
    expect(await as("alice", `cat ~/precious; stat -c %F ${units}/tund.service`)).toBe(
      "precious\nregular file",
    );
    await isAnswering();
  });

  it("has the forwards of a lingering user back after a power cut, without a login", async () => {
    await world.machine.reboot();
    await isAnswering();
    expect(await as("alice", "tunctl wait echo && tunctl list")).toMatch(/echo .* active/);
  });

  it("does not take the socket from a daemon that was started by hand", async () => {
    await as("bob", "tund >/dev/null 2>&1 & until tunctl status >/dev/null 2>&1; do sleep 0.1; done");
    await expect(as("bob", "tunctl setup-systemd --user")).rejects.toThrow(
      /a tund that systemd did not start runs already \(pid \d+\): end it with 'kill \d+' first/,
    );
    expect(await as("bob", "tunctl status; pkill -u bob node")).toMatch(/running/);
  });

  it("is the machine's with --system, for root alone to set up", async () => {
    await expect(as("alice", "tunctl setup-systemd --system")).rejects.toThrow(/--system needs root/);
    expect(await sh("tunctl setup-systemd --system")).toMatch(
      /tund runs on \/run\/tund\/tund\.sock.* from boot on/,
    );
    expect(await sh("tunctl status")).toMatch(/running .* on \/run\/tund\/tund\.sock/);
    expect(await sh("systemctl is-enabled tund.service tund.socket")).toBe("enabled\nenabled");
  });
});

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
