// Why tund is stricter than ssh, where it is: each case that differs is here for one of these reasons.
import type { Case } from "./axes.ts";

export interface Reason {
  title: string;
  /** what ssh does, and what tund does, and why */
  text: string;
  /** tund records a key where ssh takes the certificate */
  recordsMore?: true;
  holds: (one: Case) => boolean;
}

const names = (one: Case, ...parts: string[]): boolean => parts.some((part) => one.known.includes(part));
const has = (one: Case, setting: string): boolean => one.more?.includes(setting) === true;

/** The first that holds is the reason. */
export const reasons: readonly Reason[] = [
  {
    title: "A certificate without principals",
    text:
      "OpenSSH 9 takes it for any host, OpenSSH 10 refuses it. tund refuses it, says so, and judges the plain key: what one " +
      "host was given would be good for every other.",
    recordsMore: true,
    holds: (one) => one.shown === "no principals" && names(one, "@cert-authority"),
  },
  {
    title: "HostKeyAlgorithms that names certificates alone",
    text:
      "Where the certificate does not count, OpenSSH 9 takes the plain key in it; tund, like OpenSSH 10, takes no key whose " +
      "algorithm is not named.",
    holds: (one) => has(one, "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com"),
  },
  {
    title: "CheckHostIP: an address with another key, or a revoked one",
    text:
      "ssh asks whether to go on, records the host's key before it looks at the address, and does not look at whether the " +
      "key is revoked for the address. tund refuses, and records nothing.",
    holds: (one) => names(one, "address") && one.strict !== "no",
  },
  {
    title: "CheckHostIP under StrictHostKeyChecking=no: a key that is revoked for the address",
    text: "ssh does not look at whether it is revoked. tund refuses it.",
    holds: (one) => names(one, "address @revoked"),
  },
  {
    title: "A key that is revoked for the host without its port",
    text:
      "ssh looks at the lines for the bare name only when none has the port, and calls a key new that they revoke. tund " +
      "refuses it.",
    holds: (one) => names(one, "@revoked key by the bare name"),
  },
  {
    title: "A KnownHostsCommand that cannot be started",
    text: "ssh goes on without it. tund refuses the host: what it would have said is not known.",
    holds: (one) => one.command === "is missing",
  },
  {
    title: "A line of RevokedHostKeys that begins with a NUL",
    text: "ssh takes it for an empty line. tund refuses every key while the file has it, as while it has any other garbage.",
    holds: (one) => one.list === "a line of NULs",
  },
  {
    title: "A changed or revoked key, or a revoked authority, under StrictHostKeyChecking=no",
    text:
      "ssh goes on without passwords, agent and forwards. tund refuses: a tunnel that may forward nothing is of no use, and " +
      "the message says that ssh would have gone on where the key is revoked.",
    holds: (one) => one.strict === "no" && names(one, "changed", "another type", "@revoked"),
  },
];
