// A program for SSH_ASKPASS that answers by heart.
import { randomBytes } from "node:crypto";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** An askpass program that gives these answers in turn; what it was asked is in the file `asked`. */
export async function askpass(directory: string, answers: readonly string[]) {
  const program = join(directory, `askpass-${randomBytes(6).toString("hex")}`);
  const [asked, list] = [`${program}.asked`, `${program}.answers`];
  await writeFile(asked, "");
  await writeFile(list, answers.map((answer) => `${answer}\n`).join(""));
  await writeFile(
    program,
    `#!/bin/sh\nprintf '%s\\n--\\n' "$1" >> ${asked}\nhead -n 1 ${list} | grep . || exit 1\nsed -i 1d ${list}\n`,
  );
  await chmod(program, 0o700);
  return {
    env: { SSH_ASKPASS: program, SSH_ASKPASS_REQUIRE: "force", DISPLAY: ":0" },
    questions: async () => (await readFile(asked, "utf8")).split("\n--\n").filter((each) => each !== ""),
  };
}
