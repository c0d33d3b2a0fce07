// OpenSSH that is newer than the machine's own: packages of newer Debian suites, unpacked into a folder and run from there.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheDirectory } from "./cache-directory.ts";
import { run } from "./run.ts";

/** `machine` is what is installed; `backports` was built for this Debian; `sid` is Debian's newest, with its own libraries. */
export type Release = "machine" | "backports" | "sid";

export interface OpenSsh {
  release: Release;
  /** major and minor version: [10, 0] */
  version: readonly [number, number];
  /** directory with its ssh, ssh-keygen and so on, for a PATH */
  bin: string;
  ssh: string;
  sshd: string;
  /** lines that its sshd_config needs */
  config: readonly string[];
}

/** Whether it is of that version or newer. */
const isAtLeast = ({ version }: OpenSsh, major: number, minor: number): boolean =>
  version[0] > major || (version[0] === major && version[1] >= minor);

/**
 * The newest OpenSSH that can be had here and is of that version at least. What is not on the machine is downloaded once, to a folder
 * outside the tree; nothing is installed. Where there is none, null: why is printed, and tests are to be skipped.
 */
export async function newerOpenSsh(major = 10, minor = 0): Promise<OpenSsh | null> {
  const reasons = [];
  for (const release of ["sid", "backports", "machine"] as const) {
    const found = await openSshOf(release);
    if ("whyNot" in found) reasons.push(`${release}: ${found.whyNot}`);
    else if (isAtLeast(found, major, minor)) return found;
    else reasons.push(`${release}: it has ${found.version.join(".")}`);
  }
  console.log(`skipped: no OpenSSH ${major}.${minor} or newer can be had (${reasons.join("; ")})`);
  return null;
}

/** OpenSSH of a release, or why it cannot be had here. */
export async function openSshOf(release: Release): Promise<OpenSsh | { whyNot: string }> {
  if (release === "machine") {
    const config: string[] = [];
    return at({ release, bin: "/usr/bin", ssh: "/usr/bin/ssh", sshd: "/usr/sbin/sshd", config });
  }
  const place = await unpacked(release);
  if (typeof place !== "string") return place;
  const bin = join(place, "bin");
  // Since 9.8 what serves a connection is a program of its own, and since 10.0 what authenticates.
  const config = [
    `SshdSessionPath ${join(bin, "sshd-session")}`,
    `SshdAuthPath ${join(bin, "sshd-auth")}`,
    `Subsystem sftp ${join(bin, "sftp-server")}`,
  ];
  return at({ release, bin, ssh: join(bin, "ssh"), sshd: join(bin, "sshd"), config });
}

async function at(openSsh: Omit<OpenSsh, "version">): Promise<OpenSsh | { whyNot: string }> {
  if (!existsSync(openSsh.ssh) || !existsSync(openSsh.sshd)) return { whyNot: "it is not installed" };
  const { stderr } = await run(openSsh.ssh, ["-V"]);
  const [, major, minor] = /^OpenSSH_(\d+)\.(\d+)/.exec(stderr) ?? [];
  if (major === undefined) return { whyNot: `its ssh does not run: ${stderr.trim()}` };
  return { ...openSsh, version: [Number(major), Number(minor)] };
}

const script = fileURLToPath(new URL("newer-openssh.sh", import.meta.url));

// Without a network every test that asks would wait for it anew.
const REASON_COUNTS_FOR_MS = 10 * 60_000;

/** Path of the folder that has it unpacked, made when it is not there. */
async function unpacked(release: "backports" | "sid"): Promise<string | { whyNot: string }> {
  const debian = debianHere();
  if ("whyNot" in debian) return debian;
  const suite = release === "sid" ? "sid" : `${debian.codename}-backports`;
  const place = join(cacheDirectory(), `openssh-${suite}`);
  if (existsSync(place)) return place;
  const failed = `${place}.failed`;
  const failedAt = statSync(failed, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (Date.now() - failedAt < REASON_COUNTS_FOR_MS) return { whyNot: readFileSync(failed, "utf8") };
  const libraries = release === "sid" ? "own" : "ours";
  const args = [`${place}.lock`, "sh", script, place, debian.archive, suite, libraries];
  const { code, stdout, stderr } = await run("flock", args, { deadlineMs: 300_000 });
  if (code === 0) return place;
  const last = (stderr.trim() || stdout.trim()).split("\n").at(-1) ?? "";
  const whyNot = `packages of ${suite} cannot be had: ${last}`;
  writeFileSync(failed, whyNot);
  return { whyNot };
}

/** This Debian's name, and the archive that the machine takes its packages from. */
function debianHere(): { codename: string; archive: string } | { whyNot: string } {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const [, codename] = /^VERSION_CODENAME=(\w+)$/m.exec(release) ?? [];
  if (!/^ID=debian$/m.test(release) || codename === undefined) return { whyNot: "this is not Debian" };
  const format = "$(COMPONENT) $(RELEASE) $(REPO_URI)";
  const targets = execFileSync("apt-get", ["indextargets", "--format", format, "Created-By: Packages"], {
    encoding: "utf8",
  });
  // Updates, backports and security have other names, and security an archive of its own.
  const [, archive] = /^main [a-z]+ (\S+)$/m.exec(targets) ?? [];
  return archive === undefined
    ? { whyNot: "apt has no source that is Debian's archive" }
    : { codename, archive };
}
