/** What clients are told by a replica that lies, and what clients that mean harm do to others, told of whole clusters (hazards B13, B18, B21). */
import { expect, test } from "vitest";
import { answeringLiars } from "../../src/sim/liars/answering.js";
import { scenario } from "../../src/sim/scenario.js";

// Who is asked first is the primary, so each of them is believed by whoever believes one.
test.each(Object.keys(answeringLiars))("%s: a client that votes is told what is true, and is served", (name) => {
  const group = scenario({
    ...{ model: "byzantine", replicas: 4, seed: 5, clients: ["all", "all"] },
    plan: { falseAnswers: [{ at: 0, name }] },
  });
  for (let count = 1; count <= 6; count += 1) {
    expect(group.call({ command: "add", input: { key: "n", value: 1 } }, { from: 1 + (count % 2) })).toBe(count);
  }
  expect(group.world.byzantine?.counts.falseAnswers).toBeGreaterThan(0);
  group.conclude();
});

// A refusal was believed of one: what its replica had passed on was executed all the same (the sweep's seed 13).
test("what a liar refuses and passes on all the same is not called refused", () => {
  const group = scenario({
    ...{ model: "byzantine", replicas: 4, seed: 6 },
    plan: { falseAnswers: [{ at: 0, name: "refusingAndDoing" }] },
  });
  const asked = Array.from({ length: 8 }, () => group.ask({ command: "add", input: { key: "n", value: 1 } }));
  expect(group.untilEnded(asked)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  group.conclude();
});

test("two clients that mean harm change nothing for others", () => {
  const group = scenario({ model: "byzantine", replicas: 4, seed: 7, plan: { hostileClients: 2 } });
  for (let count = 1; count <= 10; count += 1) {
    group.pass(300);
    expect(group.call({ command: "add", input: { key: "n", value: 1 } })).toBe(count);
  }
  expect(Math.min(...group.world.hostile.map(({ sentCount }) => sentCount))).toBeGreaterThan(10);
  group.conclude();
});
