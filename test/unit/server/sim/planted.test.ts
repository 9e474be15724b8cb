/** Which planted bugs are looked for, with which options, and what came of all of them. */
import { expect, test } from "vitest";
import { sampleOf, shapeFor, summaryOf, type Hunted } from "../../../../src/server/sim/planted.js";

test("a sample is spread evenly, and never has more than there are", () => {
  const items = Array.from({ length: 10 }, (_, at) => at);

  expect(sampleOf(items, 1)).toEqual([0]);
  expect(sampleOf(items, 3)).toEqual([0, 4, 7]);
  expect(sampleOf(items, 10)).toEqual(items);
  expect(sampleOf(items, 99)).toEqual(items);
});

test("a bug's own options go before the usual ones, and those given before both", () => {
  const bug = { id: "X1", hazard: "", file: "", from: "", to: "", options: { replicas: 5, faults: ["disk"] } };

  expect(shapeFor(bug, { replicas: 1 })).toEqual({
    model: "crash",
    replicas: 1,
    clients: 4,
    operations: 500,
    faults: ["disk"],
  });
});

test("the median is over the bugs that were found", () => {
  const row = (seconds: number, found: boolean): Hunted => {
    return { id: "X1", hazard: "", found, seed: null, rule: null, fact: null, seconds, seeds: 1 };
  };

  expect(summaryOf([row(9, true), row(1, true), row(500, false)])).toEqual({ found: 2, of: 3, medianSeconds: 5 });
  expect(summaryOf([row(3, true), row(9, true), row(1, true)]).medianSeconds).toBe(3);
  expect(summaryOf([row(900, false)])).toEqual({ found: 0, of: 1, medianSeconds: null });
});
