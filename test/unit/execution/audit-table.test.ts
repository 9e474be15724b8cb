/** Which positions are compared and what is remembered, and that it is a function of the entries alone. */
import { describe, expect, test } from "vitest";
import { AuditTable } from "../../../src/execution/audit-table.js";
import { decodeAudits, encodeAudits } from "../../../src/execution/audit-table-codec.js";
import type { AuditMembers, AuditReport } from "../../../src/model/audit.js";
import type { Entry } from "../../../src/model/entry.js";
import { logIndex, term, type LogIndex } from "../../../src/model/ids.js";
import { decodeAuditReport, encodeAuditReport } from "../../../src/wire/audit-codec.js";

const members: AuditMembers = { voterSets: [["a", "b", "c"]], executing: ["a", "b", "c"] };
const limits = { everyCommands: 10, everyMs: 1_000, reportMs: 5_000 };

function indexOf(index: number): LogIndex {
  return logIndex(index) ?? (0 as LogIndex);
}

function entryAt(index: number, time: number): Entry {
  return { index: indexOf(index), term: term(1) ?? (1 as never), kind: "batch", time, payload: new Uint8Array(0) };
}

function reportOf(replica: string, value: number, indexes: readonly number[], incarnation = 1): AuditReport {
  const digest = { output: { high: 5, low: -5 }, state: { high: value, low: -value } };
  return { replica, incarnation, members, positions: indexes.map((index) => ({ index: indexOf(index), ...digest })) };
}

/** Positions at these indexes, a second apart. */
function tableWith(...indexes: readonly number[]): AuditTable {
  const table = new AuditTable(limits);
  for (const index of indexes) expect(table.executed(entryAt(index, index * 1_000), 10, undefined)).toBe(true);
  return table;
}

describe("positions", () => {
  test("lie behind so many requests, or so long behind the first of them, and nowhere without requests", () => {
    const table = new AuditTable(limits);
    const at = [
      table.executed(entryAt(1, 0), 9, undefined),
      table.executed(entryAt(2, 1), 1, undefined),
      table.executed(entryAt(3, 5_000), 0, undefined),
      table.executed(entryAt(4, 5_000), 1, undefined),
      table.executed(entryAt(5, 5_999), 0, undefined),
      table.executed(entryAt(6, 6_000), 0, undefined),
    ];
    expect(at).toEqual([false, true, false, false, false, true]);
  });

  test("ask for an entry only while one is due or waits for reports", () => {
    const table = new AuditTable(limits);
    const due = [table.dueAt()];
    table.executed(entryAt(1, 500), 1, undefined);
    due.push(table.dueAt());
    table.executed(entryAt(2, 1_500), 0, undefined);
    due.push(table.dueAt());
    for (const replica of ["a", "b", "c"]) table.add(reportOf(replica, 1, [2]));
    due.push(table.dueAt());
    expect(due).toEqual([undefined, 1_500, 6_500, undefined]);
  });

  test("that wait are so many at most: the oldest is settled as it is", () => {
    const table = new AuditTable(limits);
    for (let index = 1; index <= 1_050; index += 1) table.executed(entryAt(index, 0), 10, undefined);
    expect(table.state.open.length).toBe(1_024);
    expect(table.state.counts.notChecked).toBe(26);
    expect(table.state.recent.length).toBe(16);
  });
});

describe("verdicts", () => {
  test("a replica that differs is named at once, whoever is missing, and no more once it agrees", () => {
    const table = tableWith(1, 2, 3, 4);
    for (const replica of ["b", "c"]) table.add(reportOf(replica, 1, [1, 2]));
    table.add(reportOf("a", 2, [1, 2]));
    expect(table.state.named).toEqual([{ replica: "a", incarnation: 1, from: 1, to: 2 }]);
    expect(table.state.findings.map(({ index, kind, differing }) => [index, kind, differing])).toEqual([
      [1, "named", ["a"]],
    ]);

    table.add(reportOf("a", 1, [3], 2));
    table.add(reportOf("b", 1, [3]));
    table.add(reportOf("c", 1, [3]));
    expect(table.state.named).toEqual([]);
    expect(table.state.findings.length).toBe(1);
    expect(table.state.counts).toMatchObject({ named: 2, agreed: 1 });
  });

  test("five voters: named while two have not reported", () => {
    const five: AuditMembers = { voterSets: [[..."abcde"]], executing: [..."abcde"] };
    const table = tableWith(1);
    for (const [replica, value] of [
      ["a", 1],
      ["b", 1],
      ["e", 2],
      ["c", 1],
    ] as const)
      table.add({ ...reportOf(replica, value, [1]), members: five });
    expect(table.state.named.map(({ replica }) => replica)).toEqual(["e"]);
    expect(table.state.open.length).toBe(1);
  });

  test("who does not report in time was not checked, and that is no pass (N9)", () => {
    const table = tableWith(1, 2);
    for (const replica of ["a", "b"]) table.add(reportOf(replica, 1, [1, 2]));
    expect(table.state.counts.agreed).toBe(0);
    table.executed(entryAt(3, 6_999), 0, undefined);
    expect(table.state.counts.agreed).toBe(1);
    table.executed(entryAt(4, 7_000), 0, undefined);
    table.add(reportOf("c", 1, [1, 2]));
    expect(table.state.replicas).toEqual([
      { replica: "a", agreedAt: 2, uncheckedFrom: 0, uncheckedSince: 0, unchecked: 0 },
      { replica: "b", agreedAt: 2, uncheckedFrom: 0, uncheckedSince: 0, unchecked: 0 },
      { replica: "c", agreedAt: 0, uncheckedFrom: 1, uncheckedSince: 1_000, unchecked: 2 },
    ]);
  });

  test("without any reports everybody who is known was not checked", () => {
    const table = tableWith(1);
    for (const replica of ["a", "b", "c"]) table.add(reportOf(replica, 1, [1]));
    for (const index of [2, 20]) table.executed(entryAt(index, index * 1_000), 10, undefined);
    expect(table.state.counts).toMatchObject({ agreed: 1, notChecked: 1 });
    expect(table.state.replicas.map(({ unchecked }) => unchecked)).toEqual([1, 1, 1]);
  });

  test("a replica that reports again is taken at its last word", () => {
    const table = tableWith(1);
    table.add(reportOf("a", 2, [1]));
    table.add(reportOf("a", 1, [1]));
    for (const replica of ["b", "c"]) table.add(reportOf(replica, 1, [1]));
    expect(table.state.counts.agreed).toBe(1);
    expect(table.isReported(indexOf(1), "a")).toBeUndefined();
  });
});

describe("bytes", () => {
  test("a table and a report come back as they were", () => {
    const table = tableWith(1, 2, 3, 4);
    table.add(reportOf("a", 2, [1, 2, 3]));
    table.add(reportOf("b", 1, [1, 2, 3]));
    table.add(reportOf("c", 1, [1, 2]));
    table.executed({ ...entryAt(5, 5_000), index: indexOf(5) }, 3, members);
    const outputs = { high: -1, low: 2 };
    const chunks = encodeAudits(outputs, table.state);
    expect(decodeAudits(chunks)).toEqual({ outputs, state: table.state });
    expect(decodeAudits(chunks.map((chunk) => chunk.subarray(0, chunk.length - 1)))).toBeUndefined();
    expect(decodeAudits([])?.state.open).toEqual([]);
    const report = reportOf("a", 9, [7, 8]);
    expect(decodeAuditReport(encodeAuditReport(report))).toEqual(report);
    expect(decodeAuditReport(encodeAuditReport(report).subarray(1))).toBeUndefined();
  });
});
