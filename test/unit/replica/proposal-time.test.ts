import { expect, test } from "vitest";
import { ProposalTime } from "../../../src/replica/proposal-time.js";

test("a proposal has the time of its primary's clock, and never less than what was agreed on", () => {
  const time = new ProposalTime(100, 5_000);
  expect(time.offer(4_000)).toBe(5_000);
  expect(time.offer(6_000.7)).toBe(6_000);
  time.observe(9_000);
  expect(time.offer(7_000)).toBe(9_000);
});

test("a time is taken within the bound of the own clock, and up to what was agreed on when that is ahead", () => {
  const time = new ProposalTime(100, 0);
  expect([899, 900, 1_000, 1_100, 1_101].map((each) => time.isNear(each, 1_000))).toEqual([
    false,
    true,
    true,
    true,
    false,
  ]);
  time.observe(5_000);
  expect(time.isNear(5_000, 1_000)).toBe(true);
  expect(time.isNear(5_001, 1_000)).toBe(false);
});
