/**
 * Fixed seeds over whole clusters, and every seed that ever failed. Long sweeps are `quorate sim`'s (test/e2e/sim-sweep.test.ts).
 */
import { describe, expect, test } from "vitest";

import { simulateStandard, type SimulateOptions } from "../../src/sim/simulate.js";
import { standardMachine } from "../../src/sim/standard-machine.js";
import { readText } from "../../test-support/source.js";

function optionsOf(line: string): SimulateOptions {
  const given = new Map(
    (line.split("#")[0] ?? "")
      .trim()
      .split(/\s+/)
      .map((word) => word.split("=") as [string, string]),
  );
  return {
    seed: Number(given.get("seed")),
    model: given.get("model") === "byzantine" ? "byzantine" : "crash",
    replicas: Number(given.get("replicas")),
    operations: Number(given.get("operations")),
    faults: given.get("faults")?.split(",") ?? "all",
    untilMs: given.has("untilMs") ? Number(given.get("untilMs")) : undefined,
  };
}

const failedOnce = readText("test/simulation/seeds.txt")
  .split("\n")
  .filter((line) => line.startsWith("seed="));

describe("seeds that failed once", () => {
  test.each(failedOnce)("%s", { timeout: 600_000 }, (line) => {
    simulateStandard(optionsOf(line)).assertCorrect();
  });
});

describe("seeds of this suite", () => {
  const runs = [1, 3, 5, 7].flatMap((replicas) => [1, 2, 3].map((seed) => ({ seed: 10 * replicas + seed, replicas })));

  test.each(runs)("seed $seed with $replicas replicas breaks no rule", { timeout: 600_000 }, ({ seed, replicas }) => {
    simulateStandard({ seed, replicas, operations: 300 }).assertCorrect();
  });

  const lying = [
    ...[1, 2, 3].map((seed) => ({ seed, replicas: 4, faults: "all" as const })),
    ...[4, 5, 6].map((seed) => ({ seed, replicas: 4, faults: ["lies"] })),
    { seed: 7, replicas: 7, faults: ["lies", "crash", "network"] },
    ...[8, 10].map((seed) => ({ seed, replicas: 4, faults: ["twins"] })),
    { seed: 12, replicas: 4, faults: ["falseAnswers", "hostileClients"] },
    { seed: 13, replicas: 5, faults: ["members", "lies", "crash"] },
  ];
  test.each(lying)(
    "seed $seed with $replicas replicas that may lie ($faults) breaks no rule",
    { timeout: 120_000 },
    (options) => {
      simulateStandard({ ...options, model: "byzantine", operations: 150 }).assertCorrect();
    },
  );

  test("a split parts replicas from replicas, each time", { timeout: 600_000 }, () => {
    const result = simulateStandard({ seed: 1, replicas: 5, operations: 100, faults: ["split"], trace: true });
    result.assertCorrect();
    const sides = result.trace.flatMap((line) => /parts (.*) from (.*)$/.exec(line)?.slice(1) ?? []);

    expect(result.faults.split).toBeGreaterThan(0);
    expect(sides.length).toBeGreaterThan(0);
    for (const side of sides) expect(side.split(" ").some((host) => /^[a-e]$/.test(host))).toBe(true);
  });

  test("the same seed is the same run, and another seed is another", () => {
    const options = { replicas: 3, operations: 150 };
    const first = simulateStandard({ ...options, seed: 4 });
    const again = simulateStandard({ ...options, seed: 4, trace: true });
    const other = simulateStandard({ ...options, seed: 5 });

    expect(again.traceHash).toBe(first.traceHash);
    expect(again.events).toBe(first.events);
    expect(other.traceHash).not.toBe(first.traceHash);
    expect(first.trace).toEqual([]);
    expect(again.trace.length).toBeGreaterThan(100);
  });

  test("the same holds where replicas lie", () => {
    const options = { model: "byzantine", seed: 8, operations: 60 } as const;
    const first = simulateStandard(options);

    expect(simulateStandard(options).traceHash).toBe(first.traceHash);
    expect(simulateStandard({ ...options, seed: 9 }).traceHash).not.toBe(first.traceHash);
  });

  test("without faults every command and query of the standard machine is answered, most of them well", () => {
    const result = simulateStandard({ seed: 1, calm: true, faults: "none", operations: 600, pace: 500, trace: true });
    result.assertCorrect();
    const answers = (name: string): readonly string[] =>
      result.trace.filter((line) => line.includes(`(${name} of c`)).map((line) => line.replace(/^.*\): /, ""));

    for (const name of [...standardMachine.commandNames, ...standardMachine.queryNames]) {
      const good = answers(name).filter((answer) =>
        name === "spoil" ? answer.startsWith("failure") : /^(output|ok)/.test(answer),
      );
      expect(good.length, `${name}: ${answers(name).slice(0, 3).join("; ")}`).toBeGreaterThan(answers(name).length / 2);
      expect(good.length, name).toBeGreaterThan(5);
    }
  });
});
