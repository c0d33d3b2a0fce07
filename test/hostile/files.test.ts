// Files that are not what they should be: the saved state, known hosts, ssh_config and what it comes to, identities,
// certificates, and what an agent answers.
import { makeOutside } from "../support/outside.ts";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { HostResolver } from "../../daemon/ssh/host-config.ts";
import { parseKnownHosts } from "../../daemon/ssh/known-hosts.ts";
import { authorities, knownAlgorithms, verdict } from "../../daemon/ssh/known-hosts-verdict.ts";
import { Store } from "../../daemon/store.ts";
import { TundError } from "../../shared/errors.ts";
import { parseForwardPattern, parseForwardSpec, parseStdioDestination } from "../../shared/forward-spec.ts";
import { run as runProgram } from "../support/run.ts";
import { silent } from "../support/silent-log.ts";
import { type TempDir, tempDir } from "../support/temp-dir.ts";
import { CAMPAIGN_MS, run } from "./campaign.ts";
import { mutate, mutateText } from "./mutate.ts";
import { newHostKey } from "./peer.ts";
import type { Random } from "./random.ts";

let place: TempDir;
const at = (...names: string[]): string => join(place.path, ...names);

beforeAll(async () => {
  place = await tempDir();
});
afterAll(() => place?.remove());

/** What a parser of ours may throw. */
function onlyTund(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof TundError)) throw error;
  }
}

const SPECS = [
  "8080:localhost:80",
  "127.0.0.1:8080:[::1]:80",
  "[::1]:8080:/run/x",
  "/run/y:localhost:80",
  "/run/y:/run/x",
  "1080",
  "*:1080",
  "/run/z",
  "0:localhost:80",
  "localhost:80",
  ":8080:h:80",
  "a/b/80",
  "h:http",
];

describe("A forward's text", () => {
  it("is a forward, or refused in words", { timeout: CAMPAIGN_MS }, async () => {
    await run({
      kind: "forward-spec",
      inputs: 20_000,
      part: (random) => {
        for (let left = 100; left > 0; left--) {
          const text = mutateText(random.pick(SPECS), random);
          const kind = random.pick(["local", "remote", "dynamic"] as const);
          onlyTund(() => parseForwardSpec(kind, text, () => 80));
          onlyTund(() => parseForwardPattern(kind, text));
          onlyTund(() => parseStdioDestination(text));
        }
        return 100;
      },
    });
  });
});

const forward = {
  id: "1",
  name: null,
  kind: "local",
  spec: "8080:localhost:80",
  gatewayPorts: false,
  onDemand: false,
  idleSeconds: null,
  allocatedPort: null,
};
const saved = {
  version: 1,
  hosts: [
    { host: "a", kept: true, connection: { port: 22, options: ["Compression=yes"] }, forwards: [forward] },
    {
      host: "b",
      kept: false,
      connection: null,
      forwards: [{ ...forward, id: "2", kind: "dynamic", spec: "1080" }],
    },
  ],
};

describe("A state file", () => {
  it("is loaded or set aside, whatever is in it", { timeout: CAMPAIGN_MS }, async () => {
    const whole = [
      `${JSON.stringify(saved, null, 2)}\n`,
      `${JSON.stringify(saved)}\n${JSON.stringify(saved)}\n`,
    ];
    let number = 0;
    await run({
      kind: "state-file",
      inputs: 600,
      part: async (random) => {
        const directory = at(`state-${number++}`);
        await mkdir(directory);
        const bytes = mutate(Buffer.from(random.pick(whole)), random);
        await writeFile(join(directory, "state.json"), bytes);
        const hosts = await new Store(directory, silent).load();
        // Nothing is lost: what was not taken stands beside it.
        if (hosts.length === 0 && bytes.length > 0) {
          const kept = await Promise.all(
            (await readdir(directory)).map((name) => readFile(join(directory, name))),
          );
          if (!kept.some((one) => one.equals(bytes))) throw new Error(`lost: ${bytes.toString("latin1")}`);
        }
        return 1;
      },
    });
  });
});

describe("A known_hosts file", () => {
  it("is read whatever is in it", { timeout: CAMPAIGN_MS }, async () => {
    const [one, other] = [newHostKey().blob, newHostKey().blob];
    const text = [
      `localhost,127.0.0.1 ssh-ed25519 ${one.toString("base64")} comment`,
      `[localhost]:2222 ssh-ed25519 ${other.toString("base64")}`,
      `@revoked * ssh-ed25519 ${other.toString("base64")}`,
      `@cert-authority *.example,!x.example ssh-ed25519 ${one.toString("base64")}`,
      `|1|${Buffer.alloc(20, 1).toString("base64")}|${Buffer.alloc(20, 2).toString("base64")} ssh-ed25519 ${one.toString("base64")}`,
      "# nothing",
    ].join("\n");
    const name = { host: "localhost", port: 22, hostKeyAlias: null };
    await run({
      kind: "known-hosts",
      inputs: 5000,
      part: (random) => {
        for (let left = 50; left > 0; left--) {
          const known = parseKnownHosts("file", mutateText(text, random));
          verdict(known, { ...name, key: random.pick([one, other]) });
          authorities(known, name);
          knownAlgorithms(known, name);
        }
        return 50;
      },
    });
  });
});

describe("What ssh -G says", () => {
  it("is a configuration, or an error in words, whatever it is", { timeout: CAMPAIGN_MS }, async () => {
    const text = (
      await runProgram("ssh", [
        "-F",
        "none",
        "-G",
        "-L",
        "8080:h:80",
        "-R",
        "9:h:9",
        "-D",
        "1080",
        "-J",
        "j",
        "me@example",
      ])
    ).stdout;
    const person = { home: "/home/me", uid: 0, username: "me", env: {} };
    await run({
      kind: "ssh-config",
      inputs: 1000,
      part: async (random) => {
        const mutated = mutateText(random.oneIn(2) ? text : oneLineSpoilt(text, random), random);
        let end = () => undefined as void;
        const resolver = new HostResolver({
          person,
          configFile: null,
          controlPath: null,
          files: makeOutside().files,
          queries: {
            ask: async () => ({ printed: mutated, ranPrograms: false }),
            onEnd: (atEnd) => (end = atEnd),
          },
        });
        try {
          await resolver.resolve("me@example");
        } catch (error) {
          if (!(error instanceof TundError)) throw error;
        } finally {
          end();
        }
        return 1;
      },
    });
  });
});

// A mutation in a text of 100 lines hits one that matters seldom: here it is in the line's value.
function oneLineSpoilt(text: string, random: Random): string {
  const lines = text.split("\n");
  const index = random.below(lines.length);
  const [name = "", ...value] = (lines[index] ?? "").split(" ");
  lines[index] = `${name} ${mutateText(value.join(" "), random)}`;
  return lines.join("\n");
}
