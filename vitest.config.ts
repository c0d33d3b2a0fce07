import { availableParallelism } from "node:os";
import { configDefaults, defineConfig } from "vitest/config";

/**
 * What a level of tests reaches: a room alone, the API in process, a real sshd, or the built programs; `verdicts` puts
 * every judgement of a host key beside OpenSSH's, and `plumbing` every kind of forward, `servers` does on servers that are not the
 * machine's sshd what ssh does there, `programs` sends real programs
 * through them, `faults` breaks what they stand on, `hostile` has everybody who can be hostile be so, `bystander` sees that
 * nobody else waits for it, and `systemd` boots machines.
 */
const levels = {
  unit: ["test/unit/**/*.test.ts", "test/*.test.ts"],
  api: ["test/api/**/*.test.ts"],
  ssh: ["test/ssh/**/*.test.ts"],
  e2e: ["test/e2e/**/*.test.ts"],
  verdicts: ["test/verdicts/**/*.test.ts"],
  plumbing: ["test/plumbing/**/*.test.ts"],
  servers: ["test/servers/**/*.test.ts"],
  programs: ["test/programs/**/*.test.ts"],
  faults: ["test/faults/**/*.test.ts"],
  hostile: ["test/hostile/**/*.test.ts"],
  bystander: ["test/bystander/**/*.test.ts"],
  systemd: ["test/systemd/**/*.test.ts"],
};

export default defineConfig({
  test: {
    pool: "forks",
    // Most tests wait for other processes rather than for a processor; those that break things wear a small machine out.
    maxWorkers: Math.max(3, availableParallelism()),
    // No test is judged by its time: these end what hangs, on a machine with much other work as well.
    testTimeout: 120_000,
    hookTimeout: 240_000,
    coverage: {
      provider: "v8",
      include: ["daemon/**/*.ts", "cli/**/*.ts", "shared/**/*.ts"],
    },
    projects: Object.entries(levels).map(([name, include]) => ({
      extends: true as const,
      test: { name, include, exclude: configDefaults.exclude },
    })),
  },
});
