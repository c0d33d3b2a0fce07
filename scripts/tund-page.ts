// The parts of tund(8) that are its settings.
import { variables } from "../daemon/settings.ts";
import { bold, definition, plainProse } from "./roff.ts";

/** The parts, by the names that the page's text has for them. */
export const tundParts: Readonly<Record<string, readonly string[]>> = {
  settings: variables.flatMap(({ name, means }) => definition(bold(name), `${plainProse(means)}.`)),
};
