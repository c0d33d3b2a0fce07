// What of a caller's environment goes with a request: for ProxyCommand, Match exec and KnownHostsCommand of ssh_config(5).

/** in bytes, as JSON has it: a request has room for so much */
const MOST_ENVIRONMENT_BYTES = 32 * 1024;

export interface PassedOn {
  /** name and value */
  variables: readonly (readonly [string, string])[];
  /** the names of those that there was no room for */
  leftOut: readonly string[];
}

// What says who tund is, and where; what systemd passes to it; its settings; and where the caller is, which it is not.
const OWN =
  /^(?:HOME|USER|LOGNAME|SHELL|XDG_RUNTIME_DIR|NOTIFY_SOCKET|LISTEN_.*|WATCHDOG_.*|TUND_.*|PWD|OLDPWD|_)$/s;

/** Whether a variable is never the caller's. */
export const isOwn = (name: string): boolean => OWN.test(name);

/** Chooses what goes with it: the smallest first, so that one that is huge has no other left out. Pure. */
export function passedOn(environment: Iterable<readonly [string, string | undefined]>): PassedOn {
  const sized = [...environment].flatMap(([name, value]) =>
    value === undefined || !isName(name) || value.includes("\0") || isOwn(name)
      ? []
      : [{ name, value, bytes: Buffer.byteLength(JSON.stringify(`${name}=${value}`)) + 1 }],
  );
  let room = MOST_ENVIRONMENT_BYTES;
  const fits = (bytes: number): boolean => {
    room -= bytes; // once there is no room for one, there is none for those that are larger
    return room >= 0;
  };
  const variables: [string, string][] = [];
  const leftOut: string[] = [];
  for (const { name, value, bytes } of sized.toSorted((one, other) => one.bytes - other.bytes))
    if (fits(bytes)) variables.push([name, value]);
    else leftOut.push(name);
  return { variables: variables.toSorted(([one], [other]) => (one < other ? -1 : 1)), leftOut };
}

/** Reads `NAME=VALUE` entries, as environ(7) has them; what is none is passed over. */
export const entriesOf = (entries: readonly string[]): [string, string][] =>
  entries.flatMap((entry) => {
    const at = entry.indexOf("=");
    return at > 0 ? [[entry.slice(0, at), entry.slice(at + 1)] as [string, string]] : [];
  });

const isName = (name: string): boolean => name !== "" && !/[=\0]/.test(name);
