// Every verb, in the order of the help.
import type { Command } from "./command.ts";
import { cancel } from "./commands/cancel.ts";
import { check } from "./commands/check.ts";
import { completion } from "./commands/completion.ts";
import { connect } from "./commands/connect.ts";
import { doctor } from "./commands/doctor.ts";
import { events } from "./commands/events.ts";
import { exit } from "./commands/exit.ts";
import { forward } from "./commands/forward.ts";
import { help } from "./commands/help.ts";
import { list } from "./commands/list.ts";
import { reconnect } from "./commands/reconnect.ts";
import { setupSystemd } from "./commands/setup-systemd.ts";
import { shell } from "./commands/shell.ts";
import { status } from "./commands/status.ts";
import { stdio } from "./commands/stdio.ts";
import { stop } from "./commands/stop.ts";
import { trust } from "./commands/trust.ts";
import { version } from "./commands/version.ts";
import { wait } from "./commands/wait.ts";

export const verbs: readonly Command[] = [
  forward,
  cancel,
  list,
  status,
  connect,
  check,
  reconnect,
  stop,
  exit,
  wait,
  events,
  trust,
  doctor,
  setupSystemd,
  stdio,
  shell,
  completion,
  version,
  help,
];
