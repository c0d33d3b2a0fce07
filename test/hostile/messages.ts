// Every message of SSH that a server can send, valid and spoilt (RFC 4250 section 4.1.2).
import { sshString, uint32 } from "../../daemon/wire-format.ts";
import { mutate, NASTY_TEXTS } from "./mutate.ts";
import { message, type Peer } from "./peer.ts";
import type { Random } from "./random.ts";

/** What the messages speak of: what the client has told so far. */
export interface Facts {
  peer: Peer;
  /** the client's numbers of its channels, open or being opened */
  channels: number[];
  /** what it has asked to be listened on: `address` and `port` on the wire */
  listeners: { address: string; port: number }[];
}

const SIZES = [0, 1, 2, 255, 1023, 1024, 32_768, 0x7fffffff, 0x80000000, 0xffffffff];
const CHANNEL_TYPES = [
  "forwarded-tcpip",
  "session",
  "x11",
  "direct-tcpip",
  "auth-agent@openssh.com",
  "tun@openssh.com",
];
const GLOBAL_REQUESTS = [
  "hostkeys-00@openssh.com",
  "hostkeys-prove-00@openssh.com",
  "keepalive@openssh.com",
  "tcpip-forward",
  "cancel-tcpip-forward",
  "streamlocal-forward@openssh.com",
  "no-more-sessions@openssh.com",
  "constructor",
];
const CHANNEL_REQUESTS = [
  "exit-status",
  "exit-signal",
  "eow@openssh.com",
  "keepalive@openssh.com",
  "xon-xoff",
  "signal",
  "shell",
];
const METHODS = ["publickey", "password", "keyboard-interactive", "none", "hostbased", "gssapi-with-mic", ""];

const flag = (random: Random): Buffer => Buffer.from([random.pick([0, 1, 1, 255])]);
const text = (random: Random): Buffer =>
  random.oneIn(4) ? random.pick(NASTY_TEXTS) : random.bytes(random.below(64));
const size = (random: Random): number => (random.oneIn(3) ? random.pick(SIZES) : 1 + random.below(0x200000));
const channel = ({ channels }: Facts, random: Random): number =>
  channels.length === 0 || random.oneIn(6)
    ? random.pick([...SIZES, random.below(16)])
    : random.pick(channels);
const join = (type: number, ...parts: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from([type]), ...parts]);

type Make = (facts: Facts, random: Random) => Buffer;

function opening(facts: Facts, random: Random): Buffer {
  const type = random.oneIn(3) ? random.pick(CHANNEL_TYPES) : "forwarded-tcpip";
  const listener = facts.listeners.length === 0 ? undefined : random.pick(facts.listeners);
  const { address, port } = listener ?? { address: "127.0.0.1", port: 22 };
  const head = message(90, type, random.below(64), size(random), size(random));
  if (random.oneIn(8))
    return Buffer.concat([
      message(90, "forwarded-streamlocal@openssh.com", 1, size(random), size(random)),
      sshString("/x"),
      sshString(""),
    ]);
  return Buffer.concat([
    head,
    sshString(address),
    uint32(port),
    sshString("10.0.0.1"),
    uint32(random.below(65_536)),
  ]);
}

function information(_facts: Facts, random: Random): Buffer {
  const prompts = Array.from({ length: random.below(4) }, () =>
    Buffer.concat([sshString(text(random)), flag(random)]),
  );
  return join(
    60,
    sshString(text(random)),
    sshString(text(random)),
    sshString(""),
    uint32(prompts.length),
    ...prompts,
  );
}

function hostKeys(_facts: Facts, random: Random): Buffer {
  const keys = Array.from({ length: random.below(5) }, () =>
    sshString(Buffer.concat([sshString("ssh-ed25519"), sshString(random.bytes(32))])),
  );
  return join(80, sshString("hostkeys-00@openssh.com"), flag(random), ...keys);
}

// What has a form of its own, by its number.
const makers = new Map<number, readonly Make[]>([
  [1, [(_, random) => message(1, random.below(20), text(random), "")]],
  [2, [(_, random) => message(2, text(random))]],
  [3, [(_, random) => message(3, random.uint32())]],
  [4, [(_, random) => join(4, flag(random), sshString(text(random)), sshString(""))]],
  [5, [() => message(5, "ssh-userauth")]],
  [6, [(_, random) => message(6, random.pick(["ssh-userauth", "ssh-connection", ""]))]],
  [
    7,
    [
      (_, random) =>
        message(7, 2, "server-sig-algs", "ssh-ed25519,rsa-sha2-512", "ping@openssh.com", text(random)),
    ],
  ],
  [20, [({ peer }) => peer.kexInit()]],
  [21, [() => Buffer.from([21])]],
  [31, [(_, random) => message(31, text(random), random.bytes(32), text(random))]],
  [50, [() => message(50, "root", "ssh-connection", "none")]],
  [51, [(_, random) => join(51, sshString(`${random.pick(METHODS)},${random.pick(METHODS)}`), flag(random))]],
  [52, [() => Buffer.from([52])]],
  [53, [(_, random) => message(53, text(random), "")]],
  [
    60,
    [
      information,
      (_, random) => message(60, "ssh-ed25519", random.bytes(51)),
      (_, random) => message(60, text(random), ""),
    ],
  ],
  [
    80,
    [
      (_, random) =>
        join(80, sshString(random.pick(GLOBAL_REQUESTS)), flag(random), random.bytes(random.below(40))),
      hostKeys,
    ],
  ],
  [81, [(_, random) => message(81, random.below(65_536)), () => message(81)]],
  [82, [() => message(82)]],
  [90, [opening]],
  [
    91,
    [(facts, random) => message(91, channel(facts, random), random.below(64), size(random), size(random))],
  ],
  [92, [(facts, random) => message(92, channel(facts, random), random.below(6), text(random), "")]],
  [93, [(facts, random) => message(93, channel(facts, random), size(random))]],
  [94, [(facts, random) => message(94, channel(facts, random), text(random))]],
  [95, [(facts, random) => message(95, channel(facts, random), random.below(3), text(random))]],
  [
    98,
    [
      (facts, random) =>
        join(
          98,
          uint32(channel(facts, random)),
          sshString(random.pick(CHANNEL_REQUESTS)),
          flag(random),
          random.bytes(random.below(9)),
        ),
    ],
  ],
  [192, [(_, random) => message(192, text(random))]],
  ...[96, 97, 99, 100].map((type): [number, Make[]] => [
    type,
    [(facts, random) => message(type, channel(facts, random))],
  ]),
]);
const known = [...makers.keys()];

/** A message of a type, with a body that is valid for it; where the type has none that is known, with any. */
function validMessage(type: number, facts: Facts, random: Random): Buffer {
  const make = makers.get(type);
  if (make === undefined) return Buffer.concat([Buffer.from([type]), random.bytes(random.below(64))]);
  return random.pick(make)(facts, random);
}

// What no client need end a connection for.
const TAME = [2, 3, 4, 7, 80, 80, 81, 82, 90, 90, 93, 93, 94, 94, 94, 95, 96, 97, 98, 98, 99, 100];

/** A message that is valid for the most part, and speaks of channels that there may be. */
export function tameMessage(facts: Facts, random: Random): Buffer {
  return random.oneIn(100) ? anyMessage(facts, random) : validMessage(random.pick(TAME), facts, random);
}

/** Some message: valid, spoilt, or of any type with any body. */
export function anyMessage(facts: Facts, random: Random): Buffer {
  const type = random.oneIn(5) ? random.below(256) : random.pick(known);
  if (random.oneIn(8)) return Buffer.concat([Buffer.from([type]), random.bytes(random.below(200))]);
  const valid = validMessage(type, facts, random);
  // The type stays: another one is chosen often enough.
  return random.oneIn(2) ? valid : Buffer.concat([valid.subarray(0, 1), mutate(valid.subarray(1), random)]);
}
