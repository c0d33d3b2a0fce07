// What V8 is told.
import { expect, it, onTestFinished } from "vitest";
import { startTund } from "../support/daemon.ts";
import { startSshd } from "../support/sshd.ts";

it("V8 knows all that it is told", async () => {
  const sshd = await startSshd();
  onTestFinished(() => sshd.stop());
  const tund = await startTund({ env: { TUND_SSH_CONFIG: sshd.sshConfig } });
  onTestFinished(async () => void (await tund.stop()));
  expect(await tund.tunctl(["connect", "testhost"])).toMatchObject({ code: 0 });
  const lines = tund.log().trimEnd().split("\n");
  // Of a flag that it does not know it says 'Error: unrecognized flag'; all that tund says is JSON.
  expect(lines.filter((line) => !line.startsWith("{"))).toEqual([]);
  expect(tund.log()).toContain("master ready");
});
