import { describe, expect, test } from "vitest";

import { ReportTable } from "../../../src/execution/report-table.js";
import { SkipTable } from "../../../src/execution/skip-table.js";
import type { ReplicaId } from "../../../src/model/ids.js";
import { logIndex } from "../../../src/model/ids.js";
import type { SkipReport, UnfinishedReason } from "../../../src/model/skip.js";
import { decodeSkipReport, encodeSkipReport } from "../../../src/wire/skip-codec.js";

function indexOf(value: number) {
  const index = logIndex(value);
  if (index === undefined) throw new Error("no index");
  return index;
}

function reportOf(
  replica: ReplicaId,
  at: number,
  { step = 0, reason = "stack" as UnfinishedReason, voterSets = [["a", "b", "c"]] } = {},
): SkipReport {
  const members = { voterSets, executing: ["a", "b", "c", "d", "e"] };
  return { replica, incarnation: 1, at: { index: indexOf(at), step }, reason, members };
}

describe("a step is skipped", () => {
  test("once more than half of the voters have reported it, for the reason of the first", () => {
    const table = new SkipTable();

    expect(table.add(reportOf("b", 7, { reason: "time" }))).toBeUndefined();
    expect(table.add(reportOf("b", 7))).toBeUndefined();
    expect(table.isSkipped({ index: indexOf(7), step: 0 })).toBe(false);
    expect(table.add(reportOf("c", 7))).toEqual({ at: { index: 7, step: 0 }, reason: "stack" });
    expect(table.isSkipped({ index: indexOf(7), step: 0 })).toBe(true);
    expect(table.add(reportOf("a", 7))).toBeUndefined();
  });

  test.each([
    [["a"], 1],
    [["a", "b"], 2],
    [["a", "b", "c"], 2],
    [["a", "b", "c", "d"], 3],
    [["a", "b", "c", "d", "e"], 3],
  ])("of %j by %i of them", (voters, needed) => {
    const table = new SkipTable();
    const skipped = voters.map((voter) => table.add(reportOf(voter, 3, { voterSets: [voters] })) !== undefined);

    expect(skipped.indexOf(true)).toBe(needed - 1);
    expect(skipped.filter((each) => each).length).toBe(1);
  });

  test("not by a learner, nor by reports of another step", () => {
    const table = new SkipTable();
    table.add(reportOf("a", 7));

    expect(table.add(reportOf("d", 7))).toBeUndefined();
    expect(table.add(reportOf("b", 7, { step: 1 }))).toBeUndefined();
    expect(table.add(reportOf("c", 8))).toBeUndefined();
  });

  test("while members change by more than half of both sets", () => {
    const table = new SkipTable();
    const voterSets = [
      ["a", "b", "c"],
      ["c", "d", "e"],
    ];
    for (const replica of ["a", "b", "d"]) expect(table.add(reportOf(replica, 7, { voterSets }))).toBeUndefined();

    expect(table.add(reportOf("e", 7, { voterSets }))).toBeDefined();
  });

  test("never behind a certified checkpoint that covers it", () => {
    const reports = new ReportTable();
    reports.addSkip(reportOf("a", 7));
    const root = new Uint8Array(32);
    for (const replica of ["b", "c"])
      reports.add({ replica, incarnation: 1, index: indexOf(9), root, bytes: 1, voters: ["a", "b", "c"] });

    expect(reports.addSkip(reportOf("b", 7))).toBeUndefined();
    expect(reports.addSkip(reportOf("a", 7))).toBeUndefined();
    expect(reports.skips.encode()).toEqual([]);
  });
});

test("what was reported and skipped is in a checkpoint, and goes on from there", () => {
  const reports = new ReportTable();
  for (const replica of ["a", "b"]) reports.addSkip(reportOf(replica, 5, { step: 300, reason: "crash" }));
  reports.addSkip(reportOf("c", 7));
  const restored = new ReportTable();

  expect(restored.install(reports.encode())).toBe(true);
  expect(restored.encode()).toEqual(reports.encode());
  expect(restored.skips.isSkipped({ index: indexOf(5), step: 300 })).toBe(true);
  expect(restored.addSkip(reportOf("b", 7))).toEqual({ at: { index: 7, step: 0 }, reason: "stack" });
});

test("bytes that are no report are none, and a report is what it was", () => {
  const report = reportOf("a", 7, { step: 2, reason: "memory" });
  const bytes = encodeSkipReport(report);

  expect(decodeSkipReport(bytes)).toEqual(report);
  for (let length = 0; length < bytes.length; length += 1)
    expect(decodeSkipReport(bytes.subarray(0, length))).toBeUndefined();
  expect(decodeSkipReport(Uint8Array.of(...bytes, 0))).toBeUndefined();
});
