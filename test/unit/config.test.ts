import { describe, expect, it } from "vitest";
import { loadConfig } from "../../daemon/config.ts";
import { socketPaths } from "../../shared/socket-path.ts";

const load = (env: Record<string, string>) => loadConfig({ HOME: "/home/me", ...env }, false);

describe("the configuration", () => {
  it("has defaults for everything", () => {
    expect(load({})).toMatchObject({
      socket: "/home/me/.local/state/tund/run/tund.sock",
      stateDir: "/home/me/.local/state/tund",
      sshConfig: null,
      connect: [],
      logLevel: "info",
      logFormat: "json",
    });
    expect(loadConfig({ HOME: "/h" }, true).logFormat).toBe("pretty");
  });

  it("takes an empty variable for one that is not set", () => {
    expect(load({ TUND_SOCKET: "", TUND_LOG_LEVEL: "", TUND_CONNECT: "" })).toMatchObject({
      logLevel: "info",
      connect: [],
    });
  });

  it("reads hosts with any white space between them", () => {
    expect(load({ TUND_CONNECT: " a  b\nssh://c:1 " }).connect).toEqual(["a", "b", "ssh://c:1"]);
  });

  it.each([
    [{ TUND_LOG_LEVEL: "loud" }, "TUND_LOG_LEVEL is 'loud', and must be one of debug, info, warn, error"],
    [{ TUND_LOG_FORMAT: "xml" }, "TUND_LOG_FORMAT is 'xml', and must be one of json, pretty"],
    [{ TUND_SOKCET: "/x" }, "TUND_SOKCET is not a setting of tund"],
    [{ TUND_SSH_CONFIG: "/no/such/file" }, "TUND_SSH_CONFIG names a file that cannot be read"],
  ])("refuses %j in one line that names the variable", (env, message) => {
    expect(() => load(env as Record<string, string>)).toThrow(message);
  });
});

describe("the control socket's place", () => {
  it.each([
    [{ TUND_SOCKET: "/x/y.sock", XDG_RUNTIME_DIR: "/run/user/1" }, "/x/y.sock"],
    [{ RUNTIME_DIRECTORY: "/run/tund:/run/other", XDG_RUNTIME_DIR: "/run/user/1" }, "/run/tund/tund.sock"],
    [{ XDG_RUNTIME_DIR: "/run/user/1", STATE_DIRECTORY: "/var/lib/tund" }, "/run/user/1/tund/tund.sock"],
    [{ STATE_DIRECTORY: "/var/lib/tund" }, "/var/lib/tund/run/tund.sock"],
    [{ TUND_STATE_DIR: "/s", STATE_DIRECTORY: "/var/lib/tund" }, "/s/run/tund.sock"],
    [{ XDG_STATE_HOME: "/st" }, "/st/tund/run/tund.sock"],
  ])("with %j is %s", (env, path) => {
    expect(socketPaths(env, "/home/me")[0]).toBe(path);
  });
});
