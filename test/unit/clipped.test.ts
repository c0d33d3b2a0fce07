import { expect, it } from "vitest";
import { clipped } from "../../shared/clipped.ts";

it("a text of others is shown whole, or its beginning and how much is left out", () => {
  expect(clipped("a".repeat(5), 5)).toBe("aaaaa");
  expect(clipped("abcdefg", 5)).toBe("abcde... (2 more)");
  expect(clipped("abcd😀fg", 5)).toBe("abcd... (4 more)"); // no half of a pair
  expect(clipped("abc😀fg", 5)).toBe("abc😀... (2 more)");
});
