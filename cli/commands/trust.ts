import { TundError } from "../../shared/errors.ts";
import type { HostKeys } from "../../shared/logins.ts";
import { type Option, valuesOf } from "../args.ts";
import { askHere, withCaller } from "../caller.ts";
import type { Command, Invocation } from "../command.ts";
import { connectionOf, connectionOptions } from "../connection-options.ts";
import { hostOrOnly } from "../host.ts";
import { print } from "../print.ts";
import { type Column, table } from "../table.ts";

const given: Option = {
  long: "fingerprint",
  value: "SHA256:...",
  help: "record the key that has this fingerprint, without asking",
};

type Shown = HostKeys["keys"];

const columns: readonly Column<Shown[number]>[] = [
  { title: "TYPE", cell: ({ type }) => type },
  { title: "FINGERPRINT", cell: ({ fingerprint }) => fingerprint },
  { title: "KNOWN HOSTS", cell: ({ verdict }) => verdict },
];

/** Shows a host's keys and records them after a yes. */
export const trust: Command = {
  name: "trust",
  summary: "show a host's keys, and record them after a yes",
  usage: "[options] [HOST]",
  options: [given, ...connectionOptions],
  most: 1,
  takes: ["hosts"],
  help: `Asks the server for its host keys, shows their fingerprints and what known hosts say of them, and records
those that are new in the user's known_hosts. Compare the fingerprints with what whoever runs the host
says: 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' there. A key that has changed is not recorded.

Examples:
  tunctl trust db
  tunctl trust --fingerprint SHA256:uQ7Jm0FJ6kS6iDtvMmFuuGDCNzO9lYj0tqz5kIP0y8w db`,

  async run(invocation) {
    const connection = connectionOf(invocation);
    const host = await hostOrOnly(invocation, invocation.positionals[0]);
    const target = { host, ...(connection !== undefined && { connection }) };
    const shown = await withCaller(invocation, (asked) =>
      invocation.call("scanHostKeys", { body: { ...target, ...asked } }),
    );
    const wanted = await chosen(invocation, shown);
    if (wanted.length > 0)
      await invocation.call("trustHostKeys", {
        body: { ...target, publicKeys: wanted.map(({ publicKey }) => publicKey) },
      });
    const fingerprints = wanted.map(({ fingerprint }) => fingerprint);
    print(invocation, { ...shown, recorded: fingerprints }, () =>
      wanted.map(({ type, fingerprint }) => `recorded the ${type} key of ${shown.name}: ${fingerprint}`),
    );
  },
};

/** Which keys to record. @throws TundError HOST_KEY_* when there is one that must not be, or nobody says yes */
async function chosen(invocation: Invocation, { name, keys }: HostKeys): Promise<Shown> {
  const bad = keys.find(({ verdict }) => verdict === "changed" || verdict === "revoked");
  if (bad !== undefined)
    throw new TundError(
      bad.verdict === "changed" ? "HOST_KEY_CHANGED" : "HOST_KEY_REVOKED",
      bad.verdict === "changed"
        ? `known hosts have other keys for ${name} than its ${bad.type} key ${bad.fingerprint}; if the host was set ` +
            `up anew, remove them first: ssh-keygen -R '${name}'`
        : `the ${bad.type} key ${bad.fingerprint} of ${name} is revoked`,
    );
  const fresh = keys.filter(({ verdict }) => verdict === "unknown");
  const fingerprint = valuesOf(invocation.given, given).at(-1);
  if (fingerprint !== undefined) {
    const match = keys.filter((key) => key.fingerprint === fingerprint);
    if (match.length === 0)
      throw new TundError("HOST_KEY_UNKNOWN", `${name} has no key ${fingerprint}: it has ${listed(keys)}`);
    return match.filter((key) => fresh.includes(key));
  }
  if (fresh.length === 0) return [];
  const lines = table(columns, keys);
  const answer = await askHere(invocation, {
    instructions: [`${name} shows these keys:`, ...lines].join("\n"),
    text: "Are they the host's own, and to be recorded (yes/no)? ",
    echo: true,
  });
  if (answer?.trim().toLowerCase() === "yes") return fresh;
  throw new TundError(
    "HOST_KEY_UNKNOWN",
    answer === undefined
      ? `nobody is there to say yes to the keys of ${name} (${listed(keys)}): give --fingerprint`
      : `the keys of ${name} were not accepted`,
  );
}

const listed = (keys: Shown): string =>
  keys.map(({ type, fingerprint }) => `${type} ${fingerprint}`).join(", ");
