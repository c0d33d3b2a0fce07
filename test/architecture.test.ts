import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

const files = (directory: string): string[] =>
  readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) return files(path);
    return path.endsWith(".ts") && !path.endsWith(".d.ts") ? [path] : [];
  });
const sources = ["daemon", "cli", "shared"].flatMap(files);
const importsOf = (file: string): Import[] =>
  [
    ...readFileSync(file, "utf8").matchAll(
      /^(?:import|export)\s+(type\s)?[^;]*?from\s+"([^"]+)"|import\("([^"]+)"\)/gm,
    ),
  ].map(([, type, named, dynamic]) => {
    const to = named ?? dynamic ?? "";
    return {
      from: file,
      to: to.startsWith(".") ? relative(".", resolve(dirname(file), to)) : to,
      typeOnly: type !== undefined,
    };
  });

const imports = sources.flatMap(importsOf);

/** The room of a file: `daemon/ssh`, `cli`, ...; a file that lies directly in daemon/ is a room of its own. */
const roomOf = (file: string): string => {
  const [top = "", second = ""] = file.split("/");
  if (top !== "daemon") return top;
  return second.endsWith(".ts") ? file : `daemon/${second}`;
};

// What each room may import, besides itself: arrows point down.
const arrows: Record<string, string[]> = {
  "daemon/main.ts": [
    "daemon/config.ts",
    "daemon/ended-by.ts",
    "daemon/help.ts",
    "daemon/log.ts",
    "daemon/make-api.ts",
    "daemon/make-registry.ts",
    "daemon/descriptors.ts",
    "daemon/fatal.ts",
    "daemon/hangup.ts",
    "daemon/control-socket.ts",
    "daemon/masters",
    "daemon/systemd",
    "daemon/doorkeeper.ts",
    "daemon/thread-pool.ts",
    "daemon/ssh",
    "daemon/store.ts",
    "daemon/unix-socket.ts",
    "daemon/network-watch.ts",
    "daemon/orphans.ts",
    "daemon/small-start.ts",
    "daemon/memory-watch.ts",
    "daemon/metrics.ts",
    "daemon/metrics-listener.ts",
    "shared",
  ],
  "daemon/make-api.ts": [
    "daemon/api",
    "daemon/config.ts",
    "daemon/masters",
    "daemon/metrics.ts",
    "daemon/self-check.ts",
    "daemon/surroundings.ts",
    "daemon/ssh",
    "daemon/turns.ts",
    "shared",
  ],
  "daemon/make-registry.ts": [
    "daemon/config.ts",
    "daemon/forwards",
    "daemon/masters",
    "daemon/mux",
    "daemon/ssh",
    "daemon/store.ts",
    "shared",
  ],
  "daemon/metrics.ts": ["daemon/masters", "daemon/slices.ts", "daemon/turns.ts", "shared"],
  "daemon/metrics-listener.ts": ["daemon/metrics.ts", "shared"],
  "daemon/settings.ts": [],
  "daemon/saved-state.ts": ["shared"],
  "daemon/checks.ts": ["daemon/settings.ts", "daemon/saved-state.ts"],
  "daemon/store.ts": [
    "daemon/checks.ts",
    "daemon/own-file.ts",
    "daemon/saved-state.ts",
    "daemon/saved-hosts.ts",
    "daemon/state-file.ts",
    "daemon/unix-socket.ts",
    "shared",
  ],
  "daemon/saved-hosts.ts": ["daemon/saved-state.ts", "shared"],
  "daemon/own-file.ts": ["shared"],
  "daemon/state-file.ts": ["daemon/own-file.ts", "shared"],
  "daemon/files.ts": ["shared"],
  "daemon/lines.ts": ["daemon/files.ts", "daemon/turns.ts"],
  "daemon/slices.ts": ["daemon/turns.ts"],
  "daemon/resolver.ts": ["daemon/files.ts", "shared"],
  "daemon/thread-pool.ts": [],
  "daemon/orphans.ts": ["daemon/ssh", "shared"],
  "daemon/programs.ts": [],
  "daemon/surroundings.ts": ["daemon/programs.ts", "daemon/ssh", "shared"],
  "daemon/lingering.ts": ["shared"],
  "daemon/network-watch.ts": ["shared"],
  "daemon/self-check.ts": ["shared"],
  "daemon/small-start.ts": [],
  "daemon/memory-watch.ts": ["shared"],
  "daemon/config.ts": ["daemon/checks.ts", "daemon/settings.ts", "daemon/ssh", "daemon/systemd", "shared"],
  "daemon/help.ts": ["daemon/settings.ts", "shared"],
  "daemon/ended-by.ts": ["daemon/own-file.ts", "shared"],
  "daemon/doorkeeper.ts": ["shared"],
  "daemon/systemd": ["daemon/masters", "daemon/forwards", "shared"],
  "daemon/log.ts": ["daemon/config.ts", "daemon/logging", "shared"],
  "daemon/logging": ["shared"],
  "daemon/fatal.ts": ["daemon/masters", "shared"],
  "daemon/hangup.ts": [],
  "daemon/descriptors.ts": ["shared"],
  "daemon/turns.ts": ["shared"],
  "daemon/temporary.ts": ["shared"],
  "daemon/control-socket.ts": ["daemon/unix-socket.ts", "shared"],
  "daemon/unix-socket.ts": ["shared"],
  "daemon/api": [
    "daemon/lingering.ts",
    "daemon/masters",
    "daemon/metrics.ts",
    "daemon/slices.ts",
    "daemon/turns.ts",
    "shared",
  ],
  "daemon/mux": ["daemon/lingering.ts", "daemon/masters", "daemon/wire-format.ts", "shared"],
  "daemon/masters": [
    "daemon/forwards",
    "daemon/ssh",
    "daemon/saved-state.ts",
    "daemon/slices.ts",
    "daemon/store.ts",
    "daemon/turns.ts",
    "daemon/unix-socket.ts",
    "shared",
  ],
  "daemon/forwards": [
    "daemon/lingering.ts",
    "daemon/ssh",
    "daemon/files.ts",
    "daemon/resolver.ts",
    "daemon/unix-socket.ts",
    "shared",
  ],
  "daemon/ssh": [
    "daemon/files.ts",
    "daemon/lines.ts",
    "daemon/resolver.ts",
    "daemon/temporary.ts",
    "daemon/turns.ts",
    "daemon/wire-format.ts",
    "shared",
  ],
  "daemon/wire-format.ts": [],
  cli: ["shared"],
  shared: [],
};

// One room per dependency, so that replacing one touches one folder.
const owners: Record<string, string[]> = {
  ssh2: ["daemon/ssh"],
  "@noble/post-quantum/ml-kem.js": ["daemon/ssh"],
  fastify: ["daemon/api"],
  pino: ["daemon/log.ts"],
  "pino-pretty": ["daemon/log.ts"],
  "prom-client": ["daemon/metrics.ts"],
  ajv: ["daemon/checks.ts", "daemon/api"],
  typebox: ["shared", "daemon/settings.ts", "daemon/saved-state.ts"],
};

describe("the house", () => {
  it("is read whole: the rules below see every room", () => {
    expect(new Set(sources.map(roomOf))).toEqual(new Set(Object.keys(arrows)));
    expect(imports.length).toBeGreaterThan(100);
  });

  it("has arrows that point down", () => {
    const wrong = imports.filter(({ from, to }) => {
      if (!to.includes("/") || !/^(daemon|cli|shared)\//.test(to)) return false;
      return roomOf(to) !== roomOf(from) && !arrows[roomOf(from)]?.includes(roomOf(to));
    });
    expect(wrong).toEqual([]);
  });

  it("keeps each dependency in one room", () => {
    const wrong = imports.filter(({ from, to }) => {
      const name = to.startsWith("@") ? to : (to.split("/")[0] ?? "");
      if (/^(node:|daemon|cli|shared)/.test(to)) return false;
      return !owners[name]?.includes(roomOf(from));
    });
    expect(wrong).toEqual([]);
  });

  it("calls ssh2 in one folder, and from others than its adapter sees no more than types", () => {
    const ofSsh2 = imports.filter(({ to }) => /^ssh2(\/|$)/.test(to));
    const deep = ofSsh2.filter(({ to, typeOnly }) => to !== "ssh2" || !typeOnly);
    // Keys are parsed by ssh2 too.
    const places = deep.map(({ from }) => (from === "daemon/ssh/private-key.ts" ? from : dirname(from)));
    expect(new Set(places)).toEqual(new Set(["daemon/ssh/ssh2", "daemon/ssh/private-key.ts"]));
  });

  it("reads the environment and ends the process in the two programs' main files alone", () => {
    const touching = sources.filter((file) =>
      /\bprocess\.(env|exit|argv|exitCode|on|umask|stdout|stderr|cwd)\b/.test(
        readFileSync(file, "utf8").replaceAll(/^\s*(\/\/|\*).*$/gm, ""),
      ),
    );
    expect(touching.sort()).toEqual(["cli/main.ts", "daemon/main.ts"]);
  });

  it("tells V8 what it has to tell in one file, which comes before all others", () => {
    const telling = sources.filter((file) => readFileSync(file, "utf8").includes("setFlagsFromString"));
    expect(telling).toEqual(["daemon/small-start.ts"]);
    expect(/^import .*$/m.exec(readFileSync("daemon/main.ts", "utf8"))?.[0]).toBe(
      'import "./small-start.ts";',
    );
    expect(importsOf("daemon/small-start.ts").map(({ to }) => to)).toEqual(["node:v8"]);
  });

  it("shows the schemas to tunctl as types only", () => {
    const values = imports.filter(
      ({ from, to, typeOnly }) =>
        roomOf(from) === "cli" && ["shared/contract.ts", "shared/records.ts"].includes(to) && !typeOnly,
    );
    expect(values).toEqual([]);
  });

  it("loads neither TypeBox nor fastify nor ssh2 into tunctl", async () => {
    const { metafile } = await build({
      entryPoints: ["cli/main.ts"],
      bundle: true,
      platform: "node",
      format: "cjs",
      write: false,
      metafile: true,
    });
    expect(Object.keys(metafile.inputs).filter((input) => input.includes("node_modules"))).toEqual([]);
  });

  it("has no file over 300 lines, no barrel, and no room for leftovers", () => {
    const long = sources.filter((file) => readFileSync(file, "utf8").split("\n").length > 301);
    expect(long).toEqual([]);
    expect(sources.filter((file) => /\/(utils?|helpers?|types|index|manager)\.ts$/i.test(file))).toEqual([]);
  });
});
