// What `npm install -g` puts on a machine: all that the programs look for beside themselves.
import { expect, it } from "vitest";
import { run } from "../support/run.ts";

it("npm's package has the programs, the units, man pages and completions, and no other package", async () => {
  const { code, stdout, stderr } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  const [packed] = JSON.parse(stdout) as { files: { path: string; mode: number }[] }[];
  const paths = packed?.files.map(({ path }) => path) ?? [];
  expect(paths).toEqual(
    expect.arrayContaining([
      "dist/tund.cjs",
      "dist/tunctl.cjs",
      "dist/tunctl-all.cjs",
      "dist/key-parser.cjs",
      "dist/kem-worker.cjs",
      "dist/tund.cjs.LEGAL.txt",
      "dist/THIRD-PARTY.txt",
      "dist/sbom.cdx.json",
      "LICENSE",
      "dist/askpass.sh",
      "dist/man/tunctl.1",
      "dist/man/tund.8",
      "dist/completions/tunctl",
      "dist/completions/_tunctl",
      "dist/completions/tunctl.fish",
      ...["system", "user"].flatMap((scope) =>
        ["service", "socket"].map((unit) => `systemd/${scope}/tund.${unit}`),
      ),
      "systemd/tund.sysusers",
      ...(process.platform === "linux" ? [`dist/unixfd-linux-${process.arch}.node`] : []),
    ]),
  );
  expect(
    paths.filter((path) => /^dist\/deb|sshcrypto|^(daemon|cli|test|packaging\/debian)\//.test(path)),
  ).toEqual([]);
});
