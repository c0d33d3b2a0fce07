import { has, type Option, usageError } from "../args.ts";
import type { Command } from "../command.ts";
import { print } from "../print.ts";

const user: Option = { long: "user", help: "for yourself: a service of your own, from your login on" };
const system: Option = { long: "system", help: "for the machine: a service of the user tund, from boot on" };

/** Installs the units that come with tunctl, and starts the daemon. */
export const setupSystemd: Command = {
  name: "setup-systemd",
  summary: "install the systemd units, and start the daemon",
  usage: "(--user | --system)",
  options: [user, system],
  most: 0,
  help: `Writes tund.service and tund.socket to ~/.config/systemd/user, or as root with --system to
/etc/systemd/system with a user tund whose ssh_config and keys are in /var/lib/tund/.ssh. Then enables
and starts them. Where a package has installed the units, they are only enabled and started. A second
time brings them up to date, and restarts the daemon: nobody is refused meanwhile.

To have your forwards from boot on, without a login: 'loginctl enable-linger'.
To undo it: 'systemctl --user disable --now tund.socket tund', and remove the two files.

Examples:
  tunctl setup-systemd --user
  sudo tunctl setup-systemd --system`,

  async run(invocation) {
    const scopes = [user, system].filter((option) => has(invocation.given, option));
    const [scope, another] = scopes;
    if (scope === undefined || another !== undefined) throw usageError("say --user or --system");
    // Loaded here: it starts programs, which no other verb does.
    const { setUp } = await import("../setup-systemd.ts");
    const done = await setUp(invocation, scope === user ? "user" : "system");
    print(invocation, done, () => [
      ...done.written.map((file) => `wrote ${file}`),
      `tund runs on ${done.socket}, and will from ${scope === user ? "your login" : "boot"} on`,
      ...done.next,
    ]);
  },
};
