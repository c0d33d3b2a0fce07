// CheckHostIP of ssh_config(5): a host's key is looked up by the address that was dialled as well (sshconnect.c, check_host_key).
import { TundError } from "../../shared/errors.ts";
import type { HostConfig } from "./host-config.ts";
import { shownKey } from "./host-key.ts";
import type { AddressToCheck } from "./host-verifier.ts";
import { hostNameOf } from "./host-config.ts";
import { recordName } from "./known-hosts.ts";
import { shownPlace, type Verdict, verdictOf } from "./known-hosts-verdict.ts";

interface Judged {
  failure?: TundError;
  /** the address, as known hosts have it, where nothing is known of it */
  unknown?: string;
}

/** Judges a plain key by the address, where the host's own name says that it is known, or says nothing. */
export function judgeAddress(
  key: Buffer,
  host: Verdict["kind"],
  { config, ofAddress }: { config: HostConfig; ofAddress: AddressToCheck | null },
): Judged {
  if (ofAddress === null || (host !== "known" && host !== "unknown")) return {};
  const { name, known } = ofAddress;
  const found = verdictOf(known, name, key);
  if (found.kind === "unknown") return { unknown: name };
  if (found.kind === "known" || (found.kind === "changed" && config.strictHostKeyChecking === "no"))
    return {};
  const shown = recordName(hostNameOf(config));
  const what =
    found.kind === "revoked"
      ? `is revoked by ${shownPlace(found)}`
      : `is not the one that ${shownPlace(found)} has`;
  return {
    failure: new TundError(
      found.kind === "revoked" ? "HOST_KEY_REVOKED" : "HOST_KEY_CHANGED",
      `the ${shownKey(key)} of ${shown} ${what} for its address ${name} (CheckHostIP). ` +
        `Somebody may be listening; if the address belongs to another host now: ssh-keygen -R '${name}'`,
    ),
  };
}
