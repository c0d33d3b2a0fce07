// What systemd is told (sd_notify(3)): by our own datagrams, or by systemd-notify(1) where the compiled file is missing.
import { execFile } from "node:child_process";
import { messageOf } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { Native } from "../../shared/native/load.ts";

const SYSTEMD_NOTIFY = "/usr/bin/systemd-notify";

export interface NotifierOptions {
  /** NOTIFY_SOCKET; null: nobody listens */
  socket: string | null;
  native: Native | null;
  log: Log;
}

export class Notifier {
  readonly #options: NotifierOptions;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** Whether descriptors can be sent too. */
  get takesDescriptors(): boolean {
    return this.#options.socket !== null && this.#options.native !== null;
  }

  /** Sends assignments, a line each. What cannot be sent is logged, and is no reason to stop. */
  tell(state: Readonly<Record<string, string | number>>, fds: readonly number[] = []): void {
    const { socket, native, log } = this.#options;
    if (socket === null) return;
    const lines = Object.entries(state).map(([name, value]) => `${name}=${value}`);
    try {
      if (native !== null) native.sendDatagram(socket, lines.join("\n"), fds);
      else if (fds.length === 0) this.#tellBySystemdNotify(lines);
    } catch (error) {
      log.warn({ error: messageOf(error) }, `systemd cannot be told ${lines[0]}`);
    }
  }

  #tellBySystemdNotify(lines: readonly string[]): void {
    const env = { NOTIFY_SOCKET: this.#options.socket ?? "" };
    execFile(SYSTEMD_NOTIFY, [...lines], { env }, (error) => {
      if (error !== null)
        this.#options.log.warn({ error: error.message }, `systemd cannot be told ${lines[0]}`);
    });
  }
}
