/** Replicas that are given the next version of the machine at random, while they are killed and cut off (rule V28). */
import { expect, test } from "vitest";
import { simulateStandard } from "../../src/sim/simulate.js";

test.each([
  { faults: ["upgrade"], untilMs: 10_000 },
  { faults: ["upgrade", "kill", "partition"], untilMs: 6_000 },
])(
  "a version starts once every replica can run it, and every judge agrees ($faults)",
  (options) => {
    const runs = Array.from({ length: 8 }, (_, at) => simulateStandard({ seed: at + 1, operations: 100, ...options }));

    for (const run of runs) run.assertCorrect();
    expect(runs.some(({ faults }) => faults.upgrade > 0)).toBe(true);
  },
  60_000,
);

test("a run in which all were given the next version does not end before that has started", () => {
  const run = simulateStandard({ seed: 6, operations: 100, faults: ["upgrade"], untilMs: 10_000, trace: true });

  run.assertCorrect();
  expect(run.trace.filter((line) => line.includes("version 2"))).toHaveLength(run.plan.replicas);
});

test("runs that ask for all faults upgrade nobody", () => {
  const run = simulateStandard({ seed: 1, operations: 60, faults: "all" });

  expect(run.plan.faults.filter(({ kind }) => kind === "upgrade")).toEqual([]);
});
