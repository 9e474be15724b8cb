import * as fc from "fast-check";
import { expect, test } from "vitest";
import { isMajority, reachedByMajorities, reachedByMajority } from "../../../src/consensus/quorum.js";
import { i } from "../../../test-support/raft-core.js";

test("a majority has reached the median", () => {
  expect(reachedByMajority([i(7)])).toBe(7);
  expect(reachedByMajority([i(9), i(4)])).toBe(4);
  expect(reachedByMajority([i(3), i(9), i(5)])).toBe(5);
  expect(reachedByMajority([i(8), i(1), i(6), i(2)])).toBe(2);
  expect(reachedByMajority([i(5), i(0), i(9), i(9), i(1)])).toBe(5);
});

test("exactly a majority of any set is at or beyond what a majority has reached", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }), (values) => {
      const reached = reachedByMajority(values.map(i));
      expect(values.filter((value) => value >= reached).length * 2).toBeGreaterThan(values.length);
      expect(values.filter((value) => value > reached).length * 2).toBeLessThanOrEqual(values.length);
    }),
    { seed: 7 },
  );
});

test("only voters count, and any two majorities share one", () => {
  const voters = ["a", "b", "c", "d", "e"];
  const isOne = (yes: readonly string[], ...sets: readonly (readonly string[])[]): boolean =>
    isMajority(sets, (voter) => yes.includes(voter));
  expect(isOne(["a", "b", "x", "y"], voters)).toBe(false);
  expect(isOne(["a", "b", "e"], voters)).toBe(true);
  fc.assert(
    fc.property(fc.subarray(voters), fc.subarray(voters), (left, right) => {
      if (!isOne(left, voters) || !isOne(right, voters)) return;
      expect(left.some((voter) => right.includes(voter))).toBe(true);
    }),
    { seed: 7 },
  );
});

test("while members change a majority of both sets must agree (Raft section 6)", () => {
  const sets = [
    ["a", "b", "c"],
    ["c", "d", "e"],
  ];
  const agree = (...yes: readonly string[]): boolean => isMajority(sets, (voter) => yes.includes(voter));
  expect(agree("a", "b", "d")).toBe(false);
  expect(agree("c", "d", "e")).toBe(false);
  expect(agree("a", "c", "d")).toBe(true);

  const reached: Readonly<Record<string, number>> = { a: 9, b: 8, c: 7, d: 3, e: 2 };
  expect(reachedByMajorities(sets, (voter) => i(reached[voter] ?? 0))).toBe(3);
});

test("nobody is a majority where there are no voters", () => {
  expect(isMajority([[]], () => true)).toBe(false);
});
