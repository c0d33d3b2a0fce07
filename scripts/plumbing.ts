// Writes docs/plumbing.md: runs the conformance tests on tund and on OpenSSH's ssh, and puts side by side what each did.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { plumbingTable } from "./plumbing-table.ts";
import { clearNotes, readNotes } from "../test/plumbing/notes.ts";

clearNotes();
const { status } = spawnSync("npx", ["vitest", "run", "--project=plumbing"], {
  stdio: "inherit",
  env: { ...process.env, TUND_PLUMBING_TABLE: "1" },
});
if (status === 0) {
  const { stderr } = spawnSync("ssh", ["-V"], { encoding: "utf8" });
  mkdirSync("docs", { recursive: true });
  writeFileSync("docs/plumbing.md", plumbingTable(readNotes(), /^[^ ,]+/.exec(stderr)?.[0] ?? "OpenSSH"));
  spawnSync("npx", ["oxfmt", "docs/plumbing.md"], { stdio: "inherit" });
} else {
  console.error("docs/plumbing.md is left as it was: a table of a run that failed would not be true");
  process.exitCode = 1;
}
