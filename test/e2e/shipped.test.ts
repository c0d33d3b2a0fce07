// What is shipped beside our own code: that it is named, with its licence, and nothing else; and how it installs.
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, realpath, symlink } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Outcome, run } from "../support/run.ts";
import { tempDir } from "../support/temp-dir.ts";

const json = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, "utf8"));

/** By its directory, each package of which esbuild has put something into a program. */
async function bundled(): Promise<{ directory: string; name: string; version: string }[]> {
  const inputs = (await json("dist/inputs.json")) as string[];
  const directories = inputs.flatMap((path) => {
    const at = path.lastIndexOf("node_modules/");
    if (at < 0) return [];
    const [scope = "", name = ""] = path.slice(at + "node_modules/".length).split("/");
    return [path.slice(0, at) + join("node_modules", scope, scope.startsWith("@") ? name : "")];
  });
  return Promise.all(
    [...new Set(directories.map((one) => one.replace(/\/$/, "")))].map(async (directory) => {
      const { name, version } = (await json(join(directory, "package.json"))) as Record<
        "name" | "version",
        string
      >;
      return { directory, name, version };
    }),
  );
}

interface Bill {
  components: { name: string; version: string; purl: string; licenses?: unknown[] }[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

describe("what is bundled", () => {
  it("stands in the bill of materials with its version, and so does nothing else but nan, which is compiled", async () => {
    const { components } = (await json("dist/sbom.cdx.json")) as Bill;
    const named = components.map(({ name, version }) => `${name}@${version}`);
    const { version: nan } = (await json("node_modules/nan/package.json")) as { version: string };
    const expected = (await bundled()).map(({ name, version }) => `${name}@${version}`);
    expect(named.length).toBeGreaterThan(40);
    expect(new Set(named)).toEqual(new Set([...expected, `nan@${nan}`]));
    for (const { purl, licenses } of components) {
      expect(purl).toMatch(/^pkg:npm\//);
      expect(licenses).not.toEqual([]);
    }
  });

  it("stands there with what depends on it, and with nothing that two builds would not have in common", async () => {
    const text = await readFile("dist/sbom.cdx.json", "utf8");
    const { components, dependencies } = JSON.parse(text) as Bill;
    expect(dependencies.map(({ ref }) => ref)).toHaveLength(components.length + 1);
    expect(dependencies.find(({ ref }) => ref.startsWith("fastify@"))?.dependsOn.join()).toContain("avvio@");
    const { $schema: _schema, ...rest } = JSON.parse(text) as Record<string, unknown>;
    expect(JSON.stringify(rest)).not.toMatch(/https?:|serialNumber|timestamp/);
    // Once more, in a directory of another name.
    const elsewhere = await tempDir();
    onTestFinished(() => elsewhere.remove());
    for (const name of ["package.json", "package-lock.json", "node_modules"])
      await symlink(resolve(name), join(elsewhere.path, name));
    const script = `import { billOfMaterials } from ${JSON.stringify(resolve("packaging/bill-of-materials.mjs"))};
      import shipped from ${JSON.stringify(resolve("dist/shipped.json"))} with { type: "json" };
      process.stdout.write(billOfMaterials(${JSON.stringify(elsewhere.path)}, shipped));`;
    const again = await run(process.execPath, ["--input-type=module", "--no-warnings", "-e", script]);
    expect(again).toMatchObject({ code: 0, stdout: text, stderr: "" });
  });

  it("has its licence's text and its copyright go along, word for word", async () => {
    const text = await readFile("dist/THIRD-PARTY.txt", "utf8");
    for (const { directory, name, version } of await bundled()) {
      expect(text).toContain(`\n${name} ${version} (`);
      const files = (await readdir(directory)).filter((file) => /^(licen[cs]e|notice)(\.|$)/i.test(file));
      for (const file of files)
        expect(text).toContain((await readFile(join(directory, file), "utf8")).trim());
      const isBare = files.length === 0;
      expect(text.includes(`\n${name} ${version}\n\nIts package.json says MIT`)).toBe(isBare);
    }
    expect(text).toContain((await readFile("dist/tund.cjs.LEGAL.txt", "utf8")).trim());
  });
});

describe("npm's package", () => {
  async function packed(): Promise<{ at: string; file: string }> {
    const place = await tempDir();
    onTestFinished(() => place.remove());
    const { code, stderr } = await run("npm", ["pack", "--ignore-scripts", "--pack-destination", place.path]);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    const file = (await readdir(place.path)).find((name) => name.endsWith(".tgz")) ?? "";
    return { at: place.path, file: join(place.path, file) };
  }

  /** Installs it as a user does, with nothing to be had from a registry. */
  const install = (prefix: string, file: string, env: NodeJS.ProcessEnv = {}): Promise<Outcome> =>
    run("npm", ["install", "-g", "--offline", "--foreground-scripts", "--prefix", prefix, file], {
      env: { ...process.env, npm_config_loglevel: "notice", ...env }, // npm test --silent passes that on
      deadlineMs: 300_000,
    });

  /** What comes of loading its ciphers. */
  async function ciphersOf(prefix: string): Promise<string> {
    const path = join(prefix, "lib/node_modules/tunctl/dist/sshcrypto.node");
    const load = `try { require(process.argv[1]); console.log("compiled"); } catch (error) { console.log(error.code); }`;
    return (await run(process.execPath, ["-e", load, path])).stdout.trim();
  }

  it("brings no other package, and works where there is no compiler", async () => {
    const { at, file } = await packed();
    const bin = join(at, "bin");
    await mkdir(bin);
    for (const name of ["node", "npm", "sh"]) {
      const found = (await run("sh", ["-c", `command -v ${name}`])).stdout.trim();
      await symlink(await realpath(found), join(bin, name));
    }
    const { code, stdout } = await install(join(at, "to"), file, { PATH: bin });
    expect(code).toBe(0);
    expect(stdout).toContain("added 1 package");
    expect(stdout).toContain("tunctl: the ciphers are not compiled");
    expect(await ciphersOf(join(at, "to"))).toBe("MODULE_NOT_FOUND");
    const version = await run(join(at, "to/bin/tund"), ["--version"]);
    expect(version).toMatchObject({ code: 0, stderr: "" });
  });

  const nodedir = join(dirname(process.execPath), "..");
  it("has its ciphers compiled where there is one", async ({ skip }) => {
    if (!existsSync(join(nodedir, "include/node/node.h"))) skip(`there are no headers of Node in ${nodedir}`);
    const missing = (await run("sh", ["-c", "command -v make && command -v c++ && command -v python3"])).code;
    if (missing !== 0) skip("make, c++ or python3 is not installed");
    const { at, file } = await packed();
    const { code, stdout } = await install(join(at, "to"), file, { npm_config_nodedir: nodedir });
    expect(code).toBe(0);
    expect(stdout).toContain("tunctl: the ciphers are compiled");
    expect(stdout).toContain("added 1 package");
    expect(await ciphersOf(join(at, "to"))).toBe("compiled");
    expect(await readdir(join(at, "to/lib/node_modules/tunctl/dist/ciphers"))).not.toContain("build");
  });
});

describe("the audit of what is shipped", () => {
  async function audit(handler: RequestListener, seconds = 60): Promise<Outcome> {
    const server = createServer(handler).listen(0, "127.0.0.1");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    await new Promise((listening) => void server.once("listening", listening));
    const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const cache = await tempDir();
    onTestFinished(() => cache.remove());
    const env = { ...process.env, npm_config_registry: registry, npm_config_cache: cache.path };
    return run(process.execPath, ["scripts/audit.mjs", String(seconds)], { env, deadlineMs: 90_000 });
  }

  const advisory = (title: string) => [
    { id: 1, url: "https://example.test/1", title, severity: "high", vulnerable_versions: "*" },
  ];
  const answering =
    (answer: Record<string, unknown>): RequestListener =>
    (request, response) => {
      request.resume();
      if (request.method !== "POST") return response.writeHead(404).end("{}");
      return response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
    };

  it("tells of advisories on that alone, and ends well", async () => {
    const known = { "find-my-way": advisory("it loses its way"), vitest: advisory("it is a test runner") };
    const { code, stdout } = await audit(answering(known));
    expect(code).toBe(0);
    expect(stdout).toContain("audit    find-my-way: high: it loses its way (https://example.test/1)\n");
    expect(stdout).not.toContain("vitest");
  });

  it("says in a line that there are none, and that it could not be asked", async () => {
    expect(await audit(answering({}))).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^audit {4}no advisory on any of the \d+ packages that are shipped\n$/,
      ) as string,
    });
    const refused = await audit((_, response) => void response.writeHead(405).end());
    expect(refused).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^audit {4}not asked: 405 .*\n$/) as string,
    });
    expect(await audit(() => undefined, 3)).toMatchObject({
      code: 0,
      stdout: "audit    not asked: no answer in 3 s\n",
    });
  });
});
