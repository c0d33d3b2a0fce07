// How a daemon that does not answer is started here.
import { existsSync } from "node:fs";
import { ownAccount } from "../shared/account.ts";

const unitDirectories = (scope: "system" | "user"): string[] =>
  ["/etc", "/usr/local/lib", "/usr/lib", "/lib"].map((base) => `${base}/systemd/${scope}`);

const isInstalled = (scope: "system" | "user", home: string): boolean => {
  const own = scope === "user" ? [`${home}/.config/systemd/user`] : [];
  return [...own, ...unitDirectories(scope)].some((directory) => existsSync(`${directory}/tund.service`));
};

/** Tells it in a few words, by systemd where it is there (sd_booted(3)) and has the units. */
export function howToStart(): string {
  if (!existsSync("/run/systemd/system")) return "start it with 'tund' (or 'tund &')";
  const uid = process.getuid?.();
  const home = ownAccount()?.homedir ?? "/";
  if (uid === 0 && isInstalled("system", home)) return "start it with 'systemctl start tund'";
  // Its directory is closed to others, and can be seen all the same.
  const machines = uid !== 0 && existsSync("/run/tund") ? " (the machine's is root's: 'sudo tunctl')" : "";
  if (isInstalled("user", home)) return `start it with 'systemctl --user start tund'${machines}`;
  return "start it with 'tund &', or have systemd do it: 'tunctl setup-systemd --user'";
}
