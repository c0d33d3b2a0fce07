// Writes docs/servers.md: runs test/servers on every server that can be had here, and puts side by side what ssh and tund did.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { clearNotes, readNotes } from "../test/servers/notes.ts";
import { tables } from "../test/servers/table.ts";

const MARK = "<!-- what follows is written by `npm run servers` -->";
const document = "docs/servers.md";

clearNotes();
const { status } = spawnSync("npx", ["vitest", "run", "--project=servers"], {
  stdio: "inherit",
  env: { ...process.env, TUND_SERVERS_TABLE: "1" },
});
if (status === 0) {
  const { stderr } = spawnSync("ssh", ["-V"], { encoding: "utf8" });
  const [head = ""] = readFileSync(document, "utf8").split(MARK);
  const ssh = /^[^ ,]+/.exec(stderr)?.[0] ?? "OpenSSH";
  writeFileSync(document, `${head}${MARK}\n\n${tables(readNotes(), ssh)}\n`);
  spawnSync("npx", ["oxfmt", document], { stdio: "inherit" });
} else {
  console.error(`${document} is left as it was: a table of a run that failed would not be true`);
  process.exitCode = 1;
}
