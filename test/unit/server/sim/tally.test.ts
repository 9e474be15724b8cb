/** Sums over runs, as JSON and as text. */
import { expect, test } from "vitest";
import { simulateStandard } from "../../../../src/sim/simulate.js";
import { paintFor } from "../../../../src/server/paint.js";
import { renderFailed, renderFailure, renderTally } from "../../../../src/server/sim/report-text.js";
import { usualShapeOf, type Setting } from "../../../../src/server/sim/setting.js";
import { Tally, tallyAsJson } from "../../../../src/server/sim/tally.js";
import type { Ran } from "../../../../src/server/sim/tasks.js";

const setting: Setting = { shape: { ...usualShapeOf(), operations: 10 } };
const plain = paintFor(false, {});

const run = (seed: number): Ran => {
  const result = simulateStandard({ ...setting.shape, seed, faults: "none", calm: true, trace: true });
  return { ...result, cut: {}, assertCorrect: undefined, markers: seed === 5 ? ["a session expired"] : [] };
};
const good = [5, 6, 7].map(run);
const violation = { rule: "V8", claim: "no request is executed twice", fact: "twice\nand more", at: 12.3456 } as const;
const bad = good.map((ran) => (ran.plan.seed === 5 ? ran : { ...ran, violation }));

const tallied = (rans: readonly Ran[]): Tally => {
  const tally = new Tally(5, setting);
  for (const ran of rans) tally.add(ran);
  return tally;
};

test("the order in which runs are added changes nothing, and another trace changes the hash", () => {
  const [one, other] = [tallied(bad), tallied(bad.toReversed())];
  const changed = tallied(bad.map((ran) => (ran.plan.seed === 6 ? { ...ran, traceHash: "00000000" } : ran)));

  expect(tallyAsJson(one, 2, undefined)).toEqual(tallyAsJson(other, 2, undefined));
  expect(changed.traceHash).not.toBe(one.traceHash);
});

test("JSON has sums, rates, every kind of fault, and markers reached and never reached", () => {
  const json = tallyAsJson(tallied(good), 2, undefined);

  expect(json).toMatchObject({ seeds: 3, seedBase: 5, violations: [], seconds: 2, seedsPerSecond: 1.5 });
  expect(json).toMatchObject({ faults: { kill: 0 }, markers: { reached: { "a session expired": 1 } } });
  expect(json["markers"]).toHaveProperty("never", expect.arrayContaining(["a session was evicted"]));
});

test("JSON has each failed seed with its command, and for the first the smaller run", () => {
  const [, second] = bad;
  if (second === undefined) throw new Error("there are three");
  const cut = { operations: 3, faults: [] };
  const json = tallyAsJson(tallied(bad), 2, { ...second, cut, plan: { ...second.plan, operations: 3 } });

  const command = "quorate sim --seed 6 --replicas 3 --clients 4 --operations 10 --faults all";
  const shrunk = {
    command: `${command} --cut 'operations=3,faults='`,
    operations: 3,
    replicas: 3,
    clients: 4,
    faults: [],
  };
  expect(json["violations"]).toEqual([
    { seed: 6, rule: "V8", claim: violation.claim, fact: violation.fact, atMs: 12.346, command, shrunk },
    expect.objectContaining({ seed: 7, command: command.replace("6", "7") }),
  ]);
});

test("text counts seeds, times and operations, and lists failed seeds by their first line", () => {
  const text = renderTally(tallied(bad), { seconds: 2, threads: 2, isGuessed: false }, plain);

  expect(text).toMatch(/^3 seeds from 5: 2 violations\n/);
  expect(text).toContain("3 replicas, 4 clients, 10 operations a seed, faults all");
  expect(text).toContain("faults      none\n");
  expect(text).toContain("1  a session expired\n");
  expect(text).toContain("never  a session was evicted\n");
  expect(renderFailed(tallied(bad), plain)).toBe("  seed 6         V8   twice\n  seed 7         V8   twice");
});

test("a failure is told with its faults and the end of its trace; a run that did not fail has none", () => {
  const [ran, failed] = bad;
  if (ran === undefined || failed === undefined) throw new Error("there are three");
  const trace = Array.from({ length: 100 }, (_, at) => `line ${at}`);
  const fault = { number: 3, kind: "kill", at: 1_500, lastsMs: 250, draws: [0, 0, 0, 0] } as const;
  const text = renderFailure({ ...failed, trace, plan: { ...failed.plan, faults: [fault] } }, setting, "last");

  expect(text).toContain("V8 is broken: no request is executed twice.");
  expect(text).toMatch(/\n +1\.500 s {2}fault 3 +kill +for 0\.250 s\n/);
  expect(text).toMatch(/Trace, without its first 60 lines\nline 60\n[\s\S]*line 99$/);
  expect(renderFailure({ ...failed, trace }, setting, "all")).toMatch(/\nTrace\nline 0\n/);
  expect(renderFailure(ran, setting, "all")).toBeUndefined();
});
