// Which algorithms ssh_config chooses: Ciphers, MACs, KexAlgorithms, HostKeyAlgorithms.
import { withNewer } from "./algorithms.ts";
import type { Settings } from "./settings.ts";

/** In ssh's spelling; null where the user left the choice open. */
export type ChosenAlgorithms = Record<(typeof algorithmSettings)[number], string[] | null>;

const algorithmSettings = ["ciphers", "macs", "kexalgorithms", "hostkeyalgorithms"] as const;

/** What of the algorithms in `ssh -G` somebody chose. @param defaults what ssh prints where nobody has */
export function chosenAlgorithms(settings: Settings, defaults: Settings): ChosenAlgorithms {
  const chosen: ChosenAlgorithms = {
    ciphers: null,
    macs: null,
    kexalgorithms: null,
    hostkeyalgorithms: null,
  };
  for (const name of algorithmSettings) {
    const value = settings.get(name)?.[0];
    // ssh's order of host keys is as good as ssh2's, and leaves out SHA-1; of the others ssh2's own is the faster one.
    const always = name === "hostkeyalgorithms";
    const byDefault = defaults.get(name)?.[0];
    if (value === undefined || (!always && value === byDefault)) continue;
    const list = value.split(",");
    chosen[name] = name === "kexalgorithms" ? withNewer(list, byDefault?.split(",") ?? []) : list;
  }
  return chosen;
}
