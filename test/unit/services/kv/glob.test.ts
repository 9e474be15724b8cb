import { expect, test } from "vitest";
import { matchesGlob } from "../../../../src/services/kv/glob.js";

test.each([
  ["*", "", true],
  ["*", "anything", true],
  ["", "", true],
  ["", "a", false],
  ["a?c", "abc", true],
  ["a?c", "ac", false],
  ["a*c", "abcbc", true],
  ["a*c", "abcb", false],
  ["h[ae]llo", "hello", true],
  ["h[ae]llo", "hillo", false],
  ["h[^e]llo", "hello", false],
  ["h[^e]llo", "hallo", true],
  ["h[a-c]llo", "hbllo", true],
  ["h[c-a]llo", "hbllo", true],
  ["h[a-c]llo", "hdllo", false],
  ["a\\*c", "a*c", true],
  ["a\\*c", "abc", false],
  ["[\\]]", "]", true],
  ["[abc", "a", true],
  ["*a*b*", "xxaxxbxx", true],
])("%j against %j is %j", (pattern, text, expected) => {
  expect(matchesGlob(pattern, text)).toBe(expected);
});

test("a hostile pattern takes time in proportion to pattern and text, not exponential", () => {
  // The recursive form of this match would not end within years.
  expect(matchesGlob("*a".repeat(200) + "b", "a".repeat(2000))).toBe(false);
});
