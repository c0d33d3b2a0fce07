import { describe, expect, it } from "vitest";
import { listenTcp } from "../../daemon/forwards/listener.ts";
import { makeOutside } from "../support/outside.ts";
import { freePort } from "../support/free-port.ts";
import { run } from "../support/run.ts";
import { dialLoopback, refuses } from "../support/tcp.ts";

// Only root may make a network namespace.
const isRoot = process.getuid?.() === 0 && process.platform === "linux";
if (!isRoot)
  console.warn("skipped: a machine without IPv6 needs a network namespace, and that needs root on Linux");

describe("a TCP listener", () => {
  it.skipIf(!isRoot)(
    "on a machine without IPv6 is bound to what there is, and tells what there is not",
    async () => {
      const script = [
        "ip link set lo up",
        "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6",
        `exec ${process.execPath} scripts/run-ts.mjs test/support/listen-once.ts localhost 7777`,
      ].join(" && ");
      const { code, stdout, stderr } = await run("unshare", ["--net", "--mount", "sh", "-c", script]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(JSON.parse(stdout)).toEqual({
        boundTo: ["127.0.0.1:7777"],
        warnings: ["not bound to [::1]:7777: the machine does not have this address"],
      });
    },
  );

  it("resolves a name to its addresses, and accepts on each", async () => {
    const port = await freePort();
    const listening = await listenTcp(
      { address: "127.0.0.2", port },
      (socket) => socket.destroy(),
      makeOutside(),
    );
    expect(listening).toMatchObject({ boundTo: [`127.0.0.2:${port}`], warnings: [] });
    (await dialLoopback(port, "127.0.0.2")).destroy();
    await listening.close();
    expect(await refuses(port, "127.0.0.2")).toBe(true);
  });

  it("says so when its name cannot be resolved, or its port needs more rights", async () => {
    await expect(
      listenTcp({ address: "no-such-host.invalid", port: 1 }, () => undefined, makeOutside()),
    ).rejects.toMatchObject({ code: "BIND_FAILED" });
  });
});
