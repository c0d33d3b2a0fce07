// The threads in which calls that block are made (libuv's): name look-ups and files, of all hosts. Four, as Node has them, are
// two for names: two that no resolver answers for would have everybody wait.
import { stat } from "node:fs";

// 8 KiB each, measured. Half of them are for names; libuv ends the process where it cannot have as many as it was told.
const THREADS = 64;
const VARIABLE = "UV_THREADPOOL_SIZE";

/**
 * Starts them. To be called before anything else needs one: their number is what the environment says at that moment.
 * @param env process.env: it is as before afterwards, since programs that are started are to have their own number
 * @returns how many there are
 */
export function startThreadPool(env: Record<string, string | undefined>): number {
  const given = env[VARIABLE];
  const size = Math.max(THREADS, Number(given) || 0);
  env[VARIABLE] = String(size);
  stat("/", () => undefined);
  if (given === undefined) delete env[VARIABLE];
  else env[VARIABLE] = given;
  return size;
}
