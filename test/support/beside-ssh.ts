// The same login by tund and by the real ssh.
import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import type { Tund } from "./daemon.ts";
import { run } from "./run.ts";
import type { Sshd } from "./sshd.ts";

/** Both must come to the same verdict. Gives whether they got in, and what tund said. */
export async function besideSsh(
  settings: Readonly<Record<string, string | number>>,
  { sshd, tund }: { sshd: Sshd; tund: Tund },
): Promise<{ isIn: boolean; said: string; code: number | null }> {
  const name = `h${randomBytes(6).toString("hex")}`;
  await sshd.addHost(name, settings);
  const ours = await tund.tunctl(["connect", name]);
  const theirs = await run("ssh", ["-F", sshd.sshConfig, "-o", "BatchMode=yes", name, "true"]);
  expect({ isIn: ours.code === 0, tund: ours.stderr, ssh: theirs.stderr }).toEqual({
    isIn: theirs.code === 0,
    tund: ours.stderr,
    ssh: theirs.stderr,
  });
  if (ours.code === 0) await tund.tunctl(["exit", name]);
  return { isIn: ours.code === 0, said: ours.stderr, code: ours.code };
}
