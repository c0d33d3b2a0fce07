import { describe, expect, it } from "vitest";
import { homeDirectory } from "../../shared/account.ts";

const somebody = () => ({ username: "somebody", homedir: "/home/somebody" });

describe("the home directory", () => {
  it.each([
    ["HOME", "/h", somebody, "/h"],
    ["passwd's where HOME is not set", undefined, somebody, "/home/somebody"],
    ["passwd's where HOME is empty", "", somebody, "/home/somebody"],
    ["passwd's where HOME is relative", "home", somebody, "/home/somebody"],
    ["/ where passwd knows nobody", undefined, () => null, "/"],
    ["/ where passwd has none", undefined, () => ({ username: "x", homedir: "" }), "/"],
  ])("is %s", (_, home, account, expected) => {
    expect(homeDirectory(home, account)).toBe(expected);
  });
});
