// The version of this build, written in by scripts/build.mjs.
declare const __VERSION__: string | undefined;

/** package.json's version; `0.0.0-source` when run unbundled (tests of single rooms). */
export const version = typeof __VERSION__ === "undefined" ? "0.0.0-source" : __VERSION__;
