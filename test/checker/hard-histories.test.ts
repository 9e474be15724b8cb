/**
 * Histories on which a search that tries all orders would never end: many operations at once, many operations, many unknown outcomes. The
 * verdict of each is certain by construction, and the steps are limited, so that a search that explodes says "unknown" and fails.
 */
import { describe, expect, test } from "vitest";

import { judgeHistory } from "../../src/sim/checkers/history-verdict.js";
import type { ModelName, RecordedOp } from "../../src/sim/checkers/sequential-models.js";
import { executionOf, type Operation } from "../../test-support/histories.js";

function verdictOf(model: ModelName, ...operations: readonly (Operation | readonly Operation[])[]): string {
  const limits = { stepsMax: 8_000_000, isOutOfTime: () => false };
  return judgeHistory(model, new Map([["", operations.flat()]]), limits).kind;
}

function times<Item>(count: number, make: (at: number) => Item): readonly Item[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

function from(call: number, ret: number | undefined, op: RecordedOp): Operation {
  return { process: `p${call}`, call, ret, op };
}

const read = (answer: number | null): RecordedOp => ({ f: "read", answer });
const write = (value: number): RecordedOp => ({ f: "write", value });
const add = (value: number, answer?: number): RecordedOp => ({ f: "add", value, answer });
/** One after the other, behind everything else. */
const reads = (answers: readonly number[]): readonly Operation[] =>
  answers.map((answer, at) => from(100_000 + 2 * at, 100_001 + 2 * at, read(answer)));

describe("5000 operations of 8 processes, 20 of unknown outcome", () => {
  const run = { processes: 8, operations: 5_000, unknown: 0.004, seed: 5 };

  test.each(["register", "counter"] as const)("of a %s, many values", { timeout: 60_000 }, (model) => {
    const good = executionOf({ ...run, model, values: 100_000 });
    expect(verdictOf(model, good)).toBe("linearizable");
    expect(verdictOf(model, good, reads([-1]))).toBe("notLinearizable");
  });

  test("of a register, five values", { timeout: 60_000 }, () => {
    const good = executionOf({ ...run, model: "register", values: 5 });
    expect(verdictOf("register", good)).toBe("linearizable");
    const spoiled = [
      from(100_000, 100_001, write(6)),
      from(100_002, 100_003, write(7)),
      from(100_004, 100_005, read(6)),
    ];
    expect(verdictOf("register", good, spoiled)).toBe("notLinearizable");
  });
});

describe("two thousand writes under way at once", () => {
  const writes = times(2_000, (at) => from(0, 10_000 + at, write(at)));
  const readers = times(2_000, (at) => from(0, 20_000 + at, read((at * 7) % 2_000)));

  test("leave one value behind", () => {
    expect(verdictOf("register", writes, readers, reads([7, 7]))).toBe("linearizable");
    expect(verdictOf("register", writes, readers, reads([7, 8]))).toBe("notLinearizable");
  });

  test("of unknown outcome can each be read once, in any order", () => {
    const unknown = writes.map((each) => ({ ...each, ret: undefined }));
    const mixed = times(2_000, (at) => (at * 37) % 2_000);
    expect(verdictOf("register", unknown, reads(mixed))).toBe("linearizable");
    expect(verdictOf("register", unknown, reads([...mixed, mixed[0] ?? 0]))).toBe("notLinearizable");
  });
});

describe("thirty writes and thirty reads at once, of six values", () => {
  const all = times(30, (at) => [from(0, 1_000 + at, write(at % 6)), from(0, 1_500 + at, read((at * 7) % 6))]).flat();

  test("leave one value behind", () => {
    expect(verdictOf("register", all, reads([3, 3]))).toBe("linearizable");
    expect(verdictOf("register", all, reads([3, 4]))).toBe("notLinearizable");
  });
});

describe("a chain of compare-and-sets, all at once", () => {
  const cas = (before: number | null, to: number): RecordedOp => ({ f: "cas", from: before, to, ok: true });
  const chain = times(300, (at) => from(0, 1_000 + at, cas(at === 0 ? null : at - 1, at)));
  const refused = (value: number): Operation => from(2_000, 2_001, { f: "cas", from: value, to: 999, ok: false });

  test("has one order, and none if a link is missing", () => {
    expect(verdictOf("register", chain, refused(7), reads([299]))).toBe("linearizable");
    expect(verdictOf("register", chain, refused(299), reads([299]))).toBe("notLinearizable");
    expect(verdictOf("register", chain.slice(0, 100), chain.slice(101), reads([299]))).toBe("notLinearizable");
  });
});

describe("a hundred unknown writes of three values", () => {
  const writes = times(100, (at) => from(at, undefined, write(at % 3)));

  test("can be read as often as they were called, and not once more", { timeout: 60_000 }, () => {
    expect(verdictOf("register", writes, reads(times(100, (at) => at % 3)))).toBe("linearizable");
    expect(verdictOf("register", writes, reads(times(101, (at) => at % 3)))).toBe("notLinearizable");
  });
});

describe("adds", () => {
  test("two thousand at once have the order of their answers", () => {
    const adds = times(2_000, (at) => from(0, 100 + at, add(1, ((at * 7) % 2_000) + 1)));
    expect(verdictOf("counter", adds)).toBe("linearizable");
    expect(verdictOf("counter", adds, from(0, 50, add(1, 20)))).toBe("notLinearizable");
  });

  test("forty unknown ones fill every second sum, and no more", () => {
    const unknown = times(40, () => from(0, undefined, add(1)));
    const every = (first: number): readonly Operation[] => times(40, (at) => from(0, 100 + at, add(1, 2 * at + first)));
    expect(verdictOf("counter", every(2), unknown)).toBe("linearizable");
    expect(verdictOf("counter", every(3), unknown)).toBe("notLinearizable");
  });

  test("twenty unknown ones of twenty amounts reach what they add up to", () => {
    const unknown = times(20, (at) => from(0, undefined, add(at + 1)));
    expect(verdictOf("counter", unknown, reads([100, 205, 210]))).toBe("linearizable");
    expect(verdictOf("counter", unknown, reads([100, 205, 211]))).toBe("notLinearizable");
  });

  test("an unknown one cannot come before its call", () => {
    const late = from(50, undefined, add(1));
    expect(verdictOf("counter", late, from(0, 60, read(1)))).toBe("linearizable");
    expect(verdictOf("counter", late, from(0, 40, read(1)))).toBe("notLinearizable");
    // One unknown append is used twice by a walk that does not count, before the second is called.
    const appends = [
      from(0, undefined, { f: "append", value: "b" }),
      from(90, undefined, { f: "append", value: "b" }),
    ] as const;
    expect(verdictOf("append-list", appends, from(20, 30, { f: "get", answer: "bb" }))).toBe("notLinearizable");
  });
});

describe("two hundred appends at once", () => {
  const order = times(200, (at) => (at * 7) % 200);
  const appends = times(200, (at) => from(0, 100 + at, { f: "append", value: `${at},` }));
  const get = (count: number, call: number): Operation =>
    from(call, call + 1, { f: "get", answer: order.slice(0, count).join(",").concat(",") });

  test("have the order that is got", { timeout: 60_000 }, () => {
    expect(verdictOf("append-list", appends)).toBe("linearizable");
    expect(verdictOf("append-list", appends, get(200, 5_000))).toBe("linearizable");
    expect(verdictOf("append-list", appends, get(199, 5_000))).toBe("notLinearizable");
  });
});
