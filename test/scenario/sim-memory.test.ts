/** Bits that flip in the memory of one replica, behind everything that it does to write there (rule V27). */
import { expect, test } from "vitest";

import { memoryTargets } from "../../src/sim/memory-faults.js";
import { simulateStandard } from "../../src/sim/simulate.js";

test("each is found by the others in time, its replica alone is named, and its state is right again", () => {
  const runs = Array.from({ length: 30 }, (_, at) => {
    return simulateStandard({ seed: at + 1, operations: 60, faults: ["memory"], untilMs: 4_000 });
  });
  for (const run of runs) run.assertCorrect();
  const flips = runs.flatMap((run) => run.flips);
  const isFound = ({ namedAt, setAsideAt }: (typeof flips)[number]): boolean =>
    namedAt !== undefined || setAsideAt !== undefined;

  expect(flips.length).toBeGreaterThan(30);
  expect(flips.every(({ wellAt }) => wellAt !== undefined)).toBe(true);
  for (const target of memoryTargets) expect(flips.filter((flip) => flip.target === target).some(isFound)).toBe(true);
}, 120_000);

test("runs without such faults flip nothing, also when they ask for all", () => {
  const run = simulateStandard({ seed: 1, operations: 60, faults: "all" });

  expect(run.plan.faults.filter(({ kind }) => kind === "bitFlip")).toEqual([]);
  expect(run.flips).toEqual([]);
});
