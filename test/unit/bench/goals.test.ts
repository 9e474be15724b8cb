/** The table of goals: medians, verdicts both ways, and that nothing passes that was not measured. */
import { describe, expect, test } from "vitest";

import { p99Of, requestsPerSecondOf, ratio } from "../../../bench/goal-loads.mjs";
import { countsOf, goals, goalTable, rowsOf, verdictOf } from "../../../bench/goal-table.mjs";
import { median, mediansOf } from "../../../bench/measure.mjs";
import { keyFor } from "../../../bench/shape.mjs";

describe("a verdict", () => {
  test("is a pass on the bound and on its good side, short on the other", () => {
    expect(verdictOf({ atLeast: 0.6 }, 0.6)).toBe("pass");
    expect(verdictOf({ atLeast: 0.6 }, 0.7)).toBe("pass");
    expect(verdictOf({ atLeast: 0.6 }, 0.59)).toBe("short");
    expect(verdictOf({ atMost: 25 }, 25)).toBe("pass");
    expect(verdictOf({ atMost: 25 }, 3)).toBe("pass");
    expect(verdictOf({ atMost: 25 }, 25.1)).toBe("short");
    expect(verdictOf({ atMost: 0 }, 1)).toBe("short");
    expect(verdictOf({ atMost: 25 }, Infinity)).toBe("short");
  });

  test("is none without a figure", () => {
    expect(verdictOf({ atLeast: 0 }, undefined)).toBe("not measured");
    expect(verdictOf({ atMost: 25 }, Number.NaN)).toBe("not measured");
  });
});

describe("the goals", () => {
  test("each have a name of their own and one bound", () => {
    const all = Object.values(goals).flat();

    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(all.filter((goal) => "atLeast" in goal === "atMost" in goal)).toEqual([]);
  });
});

describe("the table", () => {
  const measured = new Map<string, { value: number | undefined; note?: string }>([
    ["reads-etcd", { value: 16.04, note: "160,400 : 10,000 a second" }],
    ["reads-spread", { value: 1.5 }],
  ]);

  test("has a row for each goal of the groups that were asked for, measured or not", () => {
    const rows = rowsOf(["reads", "resp"], measured);

    expect(rows.map(({ id, verdict }) => [id, verdict])).toEqual([
      ["reads-etcd", "pass"],
      ["reads-spread", "short"],
      ["resp-1", "not measured"],
      ["resp-16", "not measured"],
    ]);
    expect(rows.map(({ value }) => value)).toEqual([16.04, 1.5, null, null]);
    expect(countsOf(rows)).toBe("1 pass, 1 short, 2 not measured");
  });

  test("shows figure, measured, goal and verdict", () => {
    const [, , first, second, third] = goalTable(rowsOf(["reads", "resp"], measured)).split("\n");
    const cells = (line = ""): readonly string[] => line.split("|").map((cell) => cell.trim());

    expect(cells(first).slice(2, 6)).toEqual(["16.0 of etcd", "≥ 15 of etcd", "pass", "160,400 : 10,000 a second"]);
    expect(cells(second).slice(2, 5)).toEqual(["1.50 of all at the leader", "≥ 2 of all at the leader", "short"]);
    expect(cells(third).slice(2, 5)).toEqual(["–", "≥ 0.80 of raw with 256 connections", "not measured"]);
  });
});

describe("figures of several runs", () => {
  test("are the one in the middle, and not a number without any", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2);
    expect(median([Number.NaN, 5])).toBe(5);
    expect(median([])).toBeNaN();
  });

  test("are compared round by round, so that a slow minute slows both", () => {
    const ours = [10, 50, 90].map((throughput) => ({ throughput }));
    const theirs = [5, 100, 30].map((throughput) => ({ throughput }));
    const throughputOf = (run: { throughput: number }): number => run.throughput;

    // 2, 0.5 and 3: the ratio of the medians would be 50 : 30.
    expect(ratio(ours, theirs, throughputOf)).toBe(2);
    expect(ratio(ours, undefined, throughputOf)).toBeUndefined();
  });

  test("keep the longest turn and the failures of all", () => {
    const run = { throughput: 1, longestTurnMs: 3, longestTurnWallMs: 4, failures: { TIMED_OUT: 1 } };

    const summary = mediansOf([run, { ...run, longestTurnMs: 9, failures: { TIMED_OUT: 2 } }, run]);

    expect(summary).toMatchObject({ throughput: 1, longestTurnMs: 9, failures: { TIMED_OUT: 4 } });
  });
});

describe("a load", () => {
  test("that was not begun in full has no good p99", () => {
    expect(p99Of({ p99Ms: 5, operations: 1_000 })).toBe(5);
    expect(p99Of({ p99Ms: 5, heldBack: 10, operations: 1_000 })).toBe(5);
    expect(p99Of({ p99Ms: 5, heldBack: 11, operations: 1_000 })).toBe(Infinity);
  });

  test("has each of its keys once in as many operations", () => {
    for (const keys of [200, 1_000, 10_000]) {
      const drawn = Array.from({ length: keys }, (_none, at) => keyFor(at + 1, keys));
      expect(new Set(drawn).size).toBe(keys);
    }
  });

  test("of redis-benchmark tells its rate in CSV", () => {
    const csv = '"test","rps","avg_latency_ms"\n"SET","51413.88","4.879"\n';

    expect(requestsPerSecondOf(csv)).toBe(51_413.88);
    expect(requestsPerSecondOf('"test","rps"\n')).toBeUndefined();
  });
});
