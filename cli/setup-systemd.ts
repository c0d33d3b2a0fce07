// Puts the units that come with tunctl where systemd finds them, with the paths of this installation.
import { execFile } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ownAccount } from "../shared/account.ts";
import { TundError } from "../shared/errors.ts";
import { makeDirectory } from "../shared/make-directory.ts";
import { SYSTEM_SOCKET } from "../shared/socket-path.ts";
import { judge } from "../shared/trusted-path.ts";
import type { Invocation } from "./command.ts";
import type { ControlSocket } from "./control-socket.ts";

const runProgram = promisify(execFile);

type Scope = "user" | "system";

interface SetUp {
  written: string[];
  socket: string;
  /** what is left to do, in lines */
  next: string[];
}

const failed = (message: string, cause?: unknown): TundError =>
  new TundError("UNSUPPORTED", message, { cause });

/**
 * Installs, enables and starts the units, for one user or for the machine.
 * @throws TundError UNSUPPORTED: no systemd, no right to, a daemon in the way, or what systemctl says
 */
export async function setUp(invocation: Invocation, scope: Scope): Promise<SetUp> {
  const { context } = invocation;
  if (!existsSync("/run/systemd/system"))
    throw failed("systemd does not run here: start tund as your system starts services, or with 'tund &'");
  const uid = process.getuid?.();
  const isRoot = uid === 0;
  if (scope === "system" && !isRoot)
    throw failed("--system needs root: 'sudo tunctl setup-systemd --system', or --user for yourself");
  const systemctl = systemctlOf(scope);
  if (scope === "user") await reachable(systemctl);
  const runtime = context.env["XDG_RUNTIME_DIR"] || `/run/user/${uid}`;
  const socket = scope === "system" ? SYSTEM_SOCKET : join(runtime, "tund", "tund.sock");
  await refuseRival(systemctl, { path: socket, native: context.native });
  const written = await writeUnits(invocation, scope);
  if (scope === "system") await must("systemd-sysusers", []);
  await systemctl("daemon-reload");
  await systemctl("enable", "tund.service");
  await systemctl("start", "tund.socket");
  await systemctl("restart", "tund.service");
  return { written, socket, next: scope === "user" ? await linger() : [hint] };
}

const hint =
  "its ssh_config and keys are those of the user tund, in /var/lib/tund/.ssh; speak to it as root or as tund";

const systemctlOf =
  (scope: Scope) =>
  (...args: string[]): Promise<string> =>
    must("systemctl", scope === "user" ? ["--user", ...args] : args);

type Systemctl = ReturnType<typeof systemctlOf>;

async function must(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await runProgram(program, args)).stdout.trim();
  } catch (error) {
    const { stderr = "", message } = error as { stderr?: string; message: string };
    const [why = message] = stderr.trim().split("\n");
    throw failed(`'${[program, ...args].join(" ")}' failed: ${why || message}`, error);
  }
}

async function reachable(systemctl: Systemctl): Promise<void> {
  try {
    await systemctl("show-environment");
  } catch (error) {
    throw failed(
      "your systemd cannot be spoken to: log in as yourself (not by su or sudo), with XDG_RUNTIME_DIR set",
      error,
    );
  }
}

// systemd would take the path from a daemon that somebody started by hand, and leave it running without one.
async function refuseRival(systemctl: Systemctl, control: ControlSocket): Promise<void> {
  if (!existsSync(control.path)) return;
  const isServed = await systemctl("is-active", "tund.socket", "tund.service").then(
    () => true,
    (error: TundError) => /^active$/m.test((error.cause as { stdout?: string }).stdout ?? ""),
  );
  if (isServed) return;
  const { Client } = await import("./client.ts");
  const running = await new Client(control).call("getStatus", {}).catch(() => undefined);
  if (running !== undefined)
    throw failed(
      `a tund that systemd did not start runs already (pid ${running.daemon.pid}): end it with 'kill ${running.daemon.pid}' first; its forwards are saved`,
    );
}

async function writeUnits({ context }: Invocation, scope: Scope): Promise<string[]> {
  const { node, tund } = context.programs;
  const source = join(dirname(tund), "..", "systemd");
  if (!existsSync(join(source, "tund.sysusers"))) return []; // a package has put them in place
  // ProtectHome=yes
  const hidden = [node, tund].find((path) => /^\/(home|root|run\/user)\//.test(path));
  if (scope === "system" && hidden !== undefined)
    throw failed(
      `${hidden} is in a home directory, where the service may not look: install it for all users`,
    );
  const config = context.env["XDG_CONFIG_HOME"] || join(context.home, ".config");
  const target = scope === "system" ? "/etc/systemd/system" : join(config, "systemd", "user");
  const files = ["tund.service", "tund.socket"].map(
    (name) => [join(source, scope, name), join(target, name)] as const,
  );
  if (scope === "system") files.push([join(source, "tund.sysusers"), "/etc/sysusers.d/tund.conf"]);
  const command = `=${quoted(node)} ${quoted(tund)}\n`;
  for (const [, to] of files) {
    const refuseOthers = () => refuseOthersIn(dirname(to)); // with sudo -E it may be another user's
    await makeDirectory(dirname(to), 0o755, refuseOthers);
    refuseOthers();
  }
  return files.map(([from, to]) => {
    // By a function, for which a $ in the path is nothing special.
    const text = readFileSync(from, "utf8").replace("=/usr/bin/tund\n", () => command);
    // A link that stands there is replaced, and not followed.
    const fresh = `${to}.${process.pid}`;
    writeFileSync(fresh, text, { flag: "wx", mode: 0o644 });
    renameSync(fresh, to);
    return to;
  });
}

function refuseOthersIn(directory: string): void {
  const { refusal } = judge(directory, "own");
  if (refusal === null) return;
  const next = refusal.next === null ? "" : `: ${refusal.next}`;
  throw failed(`units are not written to ${directory}: ${refusal.why}${next}`);
}

/** A word of ExecStart= (systemd.service(5), COMMAND LINES). */
const quoted = (word: string): string =>
  `"${word
    .replaceAll(/["\\]/g, String.raw`\$&`)
    .replaceAll("%", "%%")
    .replaceAll("$", "$$$$")}"`;

async function linger(): Promise<string[]> {
  const user = ownAccount()?.username ?? String(process.getuid?.());
  const state = await must("loginctl", ["show-user", user, "--property=Linger", "--value"]).catch(() => "");
  return state === "yes" ? [] : ["to have it from boot on, without a login: loginctl enable-linger"];
}
