// What ssh_config says of the link and its channels, and what it says that tund does not do.
import { type ChannelTimeout, channelTimeouts } from "./channel-timeouts.ts";
import type { Settings } from "./settings.ts";

export interface LinkConfig {
  /** IPQoS: the DS field of what is sent (RFC 2474); null: the system's */
  trafficClass: number | null;
  /** VersionAddendum: what follows tund's name in the version exchange */
  versionAddendum: string | null;
  /** ChannelTimeout: the first that fits a channel counts */
  channelTimeouts: readonly ChannelTimeout[];
  /** what is set and not done, each in a sentence that names the keyword and the host */
  unfollowed: readonly string[];
}

/** Reads it. @param host for messages @param defaults what ssh has where nobody has chosen */
export function linkConfig(settings: Settings, defaults: Settings, host: string): LinkConfig {
  const value = (name: string): string => settings.get(name)?.[0] ?? "";
  const [, bulk = ""] = value("ipqos").split(" ");
  const isChosen = value("ipqos") !== (defaults.get("ipqos")?.[0] ?? "");
  const addendum = value("versionaddendum");
  return {
    // Forwards are no terminal sessions: of two classes they have the second.
    trafficClass: isChosen ? trafficClass(bulk) : null,
    versionAddendum: addendum === "" || addendum === "none" ? null : addendum,
    channelTimeouts: channelTimeouts(value("channeltimeout")),
    unfollowed: notDone.flatMap(({ keyword, isSet, why }) =>
      isSet(value) ? [`${keyword} of ${host} is not obeyed: ${why}`] : [],
    ),
  };
}

const notDone: readonly {
  keyword: string;
  isSet: (value: (name: string) => string) => boolean;
  why: string;
}[] = [
  {
    keyword: "LocalCommand",
    isSet: (value) => value("permitlocalcommand") === "yes" && value("localcommand") !== "",
    why: "tund runs no command after a login; 'tunctl events' tells others when there is one",
  },
  {
    keyword: "Tunnel",
    isSet: (value) => !["", "false", "no"].includes(value("tunnel")),
    why: "tund makes no network devices",
  },
  {
    keyword: "VerifyHostKeyDNS",
    isSet: (value) => !["", "false", "no"].includes(value("verifyhostkeydns")),
    why: "Node's resolver asks for no SSHFP records; known hosts alone say whose a key is",
  },
  {
    keyword: "FingerprintHash",
    isSet: (value) => !["", "SHA256"].includes(value("fingerprinthash")),
    why: "tund shows SHA256, as an MD5 fingerprint can be forged",
  },
  {
    keyword: "KbdInteractiveDevices",
    isSet: (value) => value("kbdinteractivedevices") !== "",
    why: "tund names no device, so that the server chooses",
  },
];

// iptos2str() of OpenSSH's misc.c; what it has no name for is printed as a number.
const classes = new Map<string, number>([
  ...[1, 2, 3, 4].flatMap((x) =>
    [1, 2, 3].map((y): [string, number] => [`af${x}${y}`, (8 * x + 2 * y) << 2]),
  ),
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((x): [string, number] => [`cs${x}`, x << 5]),
  ["ef", 0xb8],
  ["le", 0x04],
  ["va", 0xb0],
  ["lowdelay", 0x10],
  ["throughput", 0x08],
  ["reliability", 0x04],
]);

function trafficClass(name: string): number | null {
  const number = classes.get(name) ?? Number(name || Number.NaN);
  return Number.isInteger(number) && number >= 0 && number <= 0xff ? number : null;
}
