/** What a report prints runs the same plan again. */
import { expect, test } from "vitest";
import { commandOf, readDuration, usualShapeOf, type Shape } from "../../../../src/server/sim/setting.js";

test("the command names every option that shaped the plan, and the cut", () => {
  expect(commandOf({ shape: usualShapeOf() }, 17, {})).toBe(
    "quorate sim --seed 17 --replicas 3 --clients 4 --operations 500 --faults all",
  );
  const shape: Shape = {
    model: "crash",
    replicas: 5,
    clients: 2,
    operations: 10,
    faults: ["disk", "kill"],
    untilMs: 1_500,
  };
  const machine = { given: "it's mine.ts", prepared: "/tmp/a.js" };

  expect(commandOf({ shape, machine, planted: "R8" }, 3, { operations: 2, faults: [4, 9] })).toBe(
    "quorate sim --planted R8 --machine 'it'\\''s mine.ts' --seed 3 --replicas 5 --clients 2 --operations 10 --faults disk,kill --until 1500ms --cut 'operations=2,faults=4+9'",
  );
});

test("a duration is a number with ms, s or m", () => {
  expect(["500ms", "30s", "1.5s", "2m"].map(readDuration)).toEqual([500, 30_000, 1_500, 120_000]);
  expect(["", "5", "5h", "-1s", "0s", "s", "1s2", " 1s"].map(readDuration)).toEqual(Array(8).fill(undefined));
});
