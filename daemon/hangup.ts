// Terminals that have hung up, among the three descriptors that a process is given.
import { closeSync, fstatSync, openSync } from "node:fs";
import { isatty } from "node:tty";

const STANDARD = [0, 1, 2];

/**
 * Puts /dev/null in the place of terminals that have hung up: Node sets every terminal of its own back when it exits, and
 * aborts when one of them is gone.
 */
export function letGoOfHungUp(): void {
  for (const fd of STANDARD)
    try {
      if (!fstatSync(fd).isCharacterDevice() || isatty(fd)) continue;
      closeSync(fd);
      openSync("/dev/null", "r+"); // the lowest descriptor that is free: the same
    } catch {
      // It is closed, which is as good.
    }
}
