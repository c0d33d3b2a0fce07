import { describe, expect, it } from "vitest";
import { channelFailure, connectionFailure } from "../../daemon/ssh/failure.ts";
import { TundError } from "../../shared/errors.ts";

const error = (message: string, more: object = {}) => Object.assign(new Error(message), more);
const where = "me@db:22";

describe("a channel that could not be opened", () => {
  it.each([
    [1, "open failed", "CHANNEL_PROHIBITED", "administratively prohibited: open failed"],
    [2, "Connection refused", "CHANNEL_CONNECT_FAILED", "connect failed: Connection refused"],
    [3, "nope", "CHANNEL_UNKNOWN_TYPE", "unknown channel type: nope"],
    [4, "full", "CHANNEL_RESOURCE_SHORTAGE", "resource shortage: full"],
  ])("for reason %i says what the server said", (reason, text, code, message) => {
    const failure = channelFailure(error(`(SSH) Channel open failure: ${text}`, { reason }));
    expect(failure).toMatchObject({ code, message });
  });

  it("because the link was lost is told as that", () => {
    expect(channelFailure(error("No response from server")).code).toBe("CONNECTION_LOST");
    expect(channelFailure(error("Not connected")).code).toBe("CONNECTION_LOST");
  });

  it("keeps a failure that is ours already", () => {
    const ours = new TundError("CHANNEL_CONNECT_FAILED", "x");
    expect(channelFailure(ours)).toBe(ours);
  });
});

describe("a connection that failed", () => {
  it.each([
    [
      "authentication",
      error("All configured authentication methods failed", { level: "client-authentication" }),
      "AUTH_FAILED",
    ],
    ["authentication", error("Too many authentication failures", { code: 2 }), "AUTH_FAILED"],
    [
      "authentication",
      error("read ECONNRESET", { code: "ECONNRESET", level: "client-socket" }),
      "CONNECTION_LOST",
    ],
    [
      "handshake",
      error("Handshake failed: no matching key exchange algorithm", { level: "handshake" }),
      "KEX_FAILED",
    ],
    ["handshake", error("Connection lost before handshake", { level: "protocol" }), "CONNECTION_LOST"],
    ["authentication", error("TOO MANY authentication failures for me", { code: 11 }), "AUTH_FAILED"],
    ["authentication", error("no more authentication methods", { code: 14 }), "AUTH_FAILED"],
    ["handshake", error("go away", { code: 14 }), "AUTH_FAILED"],
    ["authentication", error("Internal error", { code: 2 }), "CONNECTION_LOST"],
    ["authentication", error("Server is shutting down", { code: 11 }), "CONNECTION_LOST"],
    ["established", error("no more authentication methods", { code: 14 }), "CONNECTION_LOST"],
    ["established", error("Too many authentication failures", { code: 2 }), "CONNECTION_LOST"],
    ["established", error("Bad packet length"), "CONNECTION_LOST"],
  ] as const)("during %s with '%s' is %s", (phase, thrown, code) => {
    const failure = connectionFailure(thrown, { where, phase });
    expect(failure.code).toBe(code);
    expect(failure.message).toContain(where);
    expect(failure.cause).toBe(thrown);
  });
});
