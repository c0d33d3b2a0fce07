// What the settings and the saved state are checked with. The build runs this file and puts the functions that it made in
// its place (scripts/compiled-schemas.ts), so that the daemon needs no compiler of schemas.
import { Ajv } from "ajv";
import { Environment, type Settings } from "./settings.ts";
import { State } from "./saved-state.ts";

/** What has compiled them; it keeps their source for the build. */
export const ajv = new Ajv({ code: { source: true } });

/** Whether these variables, not set ones left out, are settings; otherwise `errors` says why not. */
export const checkSettings = ajv.compile<Settings>(Environment);

/** Whether it is the state that some tund has saved; otherwise `errors` says why not. */
export const checkState = ajv.compile<State>(State);
