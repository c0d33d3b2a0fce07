// The output of `ssh -G`, read.

/** Settings by lower-case name, each with its values in order. */
export type Settings = ReadonlyMap<string, readonly string[]>;

/** Reads the output of `ssh -G`: a setting a line, its name in lower case; some settings stand on several lines. */
export function parseSettings(text: string): Settings {
  const settings = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space === -1) continue;
    const name = line.slice(0, space).toLowerCase();
    settings.set(name, [...(settings.get(name) ?? []), line.slice(space + 1)]);
  }
  return settings;
}
