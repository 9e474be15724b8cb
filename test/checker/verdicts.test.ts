/**
 * Histories whose verdict is known, by hand and by construction. Half of them cannot be ordered: a checker that always says yes fails
 * those, one that always says no the others.
 */
import { afterAll, describe, expect, test } from "vitest";

import {
  executionOf,
  verdictOf,
  verdictOfText,
  type Operation,
  type RunOptions,
} from "../../test-support/histories.js";

const counted = { linearizable: 0, notLinearizable: 0 };

function expectVerdict(found: string, verdict: keyof typeof counted): void {
  counted[verdict] += 1;
  expect(found).toBe(verdict);
}

/** Name, model, history. */
const ordered: readonly [string, Parameters<typeof verdictOfText>[0], string][] = [
  ["a register that nobody wrote is null", "register", "a 0 1 read -> null"],
  ["a write is read", "register", "a 0 1 write 1\nb 2 3 read -> 1"],
  ["a read that overlaps a write sees the old value", "register", "a 0 10 write 1\nb 2 3 read -> null"],
  ["or the new one", "register", "a 0 10 write 1\nb 2 3 read -> 1"],
  ["two reads during a write go forward", "register", "a 0 10 write 1\nb 1 2 read -> null\nb 3 4 read -> 1"],
  ["overlapping writes take effect in either order", "register", "a 0 10 write 1\nb 0 10 write 2\nc 11 12 read -> 1"],
  ["and in the other", "register", "a 0 10 write 1\nb 0 10 write 2\nc 11 12 read -> 2"],
  ["operations that touch are taken to overlap", "register", "a 0 5 write 1\nb 5 9 read -> null"],
  ["an unknown write takes effect much later", "register", "a 0 ? write 1\nb 50 51 read -> null\nb 90 91 read -> 1"],
  ["or never", "register", "a 0 ? write 1\nb 50 51 read -> null\nb 90 91 read -> null"],
  ["an unknown write takes effect between two others", "register", "a 0 ? write 1\nb 5 6 write 2\nc 7 8 read -> 1"],
  [
    "two unknown writes of one value take effect one after the other",
    "register",
    "a 0 ? write 1\nb 0 ? write 1\nc 5 6 read -> 1\nc 7 8 write 2\nc 9 10 read -> 1",
  ],
  ["a cas takes effect", "register", "a 0 1 write 1\nb 2 3 cas 1 2 -> ok\nc 4 5 read -> 2"],
  ["a cas from null", "register", "a 0 1 cas null 2 -> ok\nc 4 5 read -> 2"],
  ["a cas that finds another value is refused", "register", "a 0 1 write 1\nb 2 3 cas 5 2 -> no\nc 4 5 read -> 1"],
  ["an unknown cas took effect", "register", "a 0 1 write 1\nb 2 ? cas 1 2\nc 4 5 read -> 2"],
  ["an unknown cas did not", "register", "a 0 1 write 1\nb 2 ? cas 1 2\nc 4 5 read -> 1"],
  ["an unknown cas takes effect once its value comes", "register", "a 0 ? cas 1 2\nb 2 3 write 1\nc 4 5 read -> 2"],
  [
    "one process may have several under way",
    "register",
    "a 0 9 write 1\na 1 8 write 2\na 2 7 read -> 1\nb 10 11 read -> 2",
  ],
  ["values are compared as JSON", "register", 'a 0 1 write {"x":1,"y":[2]}\nb 2 3 read -> {"y":[2],"x":1}'],
  [
    "values come back after a value was written twice",
    "register",
    "a 0 9 write 1\nb 1 8 cas 1 2 -> ok\nc 20 29 write 1\nd 21 28 cas 1 3 -> ok\ne 22 27 write 7\nf 30 31 cas 3 4 -> no",
  ],
  ["keys are independent", "kv", "a 0 1 write x 1\nb 2 3 read y -> null\nb 4 5 read x -> 1"],
  ["cas by key", "kv", "a 0 1 write x 1\nb 2 3 cas x 1 2 -> ok\nc 2 3 cas y null 9 -> ok\nd 5 6 read y -> 9"],
  ["an empty list", "append-list", 'a 0 1 get -> ""'],
  ["appends follow one another", "append-list", 'a 0 1 append "x"\na 2 3 append "y"\nb 4 5 get -> "xy"'],
  ["overlapping appends in either order", "append-list", 'a 0 9 append "x"\nb 0 9 append "y"\nb 10 11 get -> "yx"'],
  ["an unknown append is seen", "append-list", 'a 0 ? append "x"\nb 4 5 get -> "x"'],
  [
    "an unknown append comes late",
    "append-list",
    'a 0 ? append "x"\nb 4 5 append "y"\nb 6 7 get -> "y"\nb 8 9 get -> "yx"',
  ],
  [
    "an unknown append never comes",
    "append-list",
    'a 0 ? append "x"\nb 4 5 append "y"\nb 6 7 get -> "y"\nb 80 90 get -> "y"',
  ],
  ["equal appends", "append-list", 'a 0 9 append "x"\nb 0 9 append "x"\nc 3 4 get -> "x"\nc 10 11 get -> "xx"'],
  ["appends that nobody gets", "append-list", 'a 0 9 append "x"\nb 0 9 append "y"\nc 0 9 append "z"'],
  ["a counter begins with 0", "counter", "a 0 1 read -> 0"],
  ["an add answers the sum", "counter", "a 0 1 add 2 -> 2\na 2 3 add 3 -> 5\nb 4 5 read -> 5"],
  ["an add of nothing said adds 1", "counter", "a 0 1 add -> 1\na 2 3 read -> 1"],
  ["overlapping adds", "counter", "a 0 9 add 2 -> 5\nb 0 9 add 3 -> 3"],
  ["an unknown add is seen by another", "counter", "a 0 ? add 2\nb 4 5 add 3 -> 5"],
  ["an unknown add comes late", "counter", "a 0 ? add 2\nb 4 5 add 3 -> 3\nb 6 7 read -> 3\nb 8 9 read -> 5"],
  ["unknown adds, some of them", "counter", "a 0 ? add 2\nb 0 ? add 3\nc 0 ? add 4\nd 5 6 read -> 6\nd 7 8 read -> 9"],
  ["adds may take away", "counter", "a 0 1 add 2 -> 2\na 2 3 add -5 -> -3\nb 4 5 read -> -3"],
  ["an unknown add that takes away", "counter", "a 0 1 add 2 -> 2\na 2 ? add -1\nb 4 5 read -> 1\nb 6 7 add 1 -> 2"],
];

const impossible: readonly [string, Parameters<typeof verdictOfText>[0], string][] = [
  ["a value that nobody wrote", "register", "a 0 1 write 1\nb 2 3 read -> 2"],
  ["a stale read", "register", "a 0 1 write 1\na 2 3 write 2\nb 4 5 read -> 1"],
  ["a write that was acknowledged and is lost", "register", "a 0 1 write 1\nb 2 3 read -> null"],
  ["a read before the write was called", "register", "b 0 1 read -> 1\na 2 3 write 1"],
  ["reads that go back, of two processes", "register", "a 0 20 write 1\nb 1 2 read -> 1\nc 3 4 read -> null"],
  [
    "reads of overlapping writes that go back and forth",
    "register",
    "a 0 20 write 1\nb 0 20 write 2\nc 1 2 read -> 1\nc 3 4 read -> 2\nc 5 6 read -> 1",
  ],
  [
    "an unknown write that takes effect twice",
    "register",
    "a 0 ? write 1\nb 1 2 read -> 1\nb 3 4 write 2\nb 5 6 read -> 2\nb 7 8 read -> 1",
  ],
  ["an unknown write before its call", "register", "b 0 1 read -> 1\na 5 ? write 1"],
  ["two cas from one value", "register", "a 0 1 write 1\nb 2 9 cas 1 2 -> ok\nc 2 9 cas 1 3 -> ok"],
  ["a cas that should have been refused", "register", "a 0 1 write 1\nb 2 3 cas 5 2 -> ok"],
  ["a cas that should have been done", "register", "a 0 1 write 1\nb 2 3 cas 1 2 -> no"],
  ["a cas that was done and is not seen", "register", "a 0 1 write 1\nb 2 3 cas 1 2 -> ok\nc 4 5 read -> 1"],
  ["a cas that was refused and is seen", "register", "a 0 1 write 1\nb 2 3 cas 5 2 -> no\nc 4 5 read -> 2"],
  ["an unknown cas from a value that never was", "register", "a 0 1 write 1\nb 2 ? cas 7 2\nc 4 5 read -> 2"],
  [
    "an unknown cas that takes effect twice",
    "register",
    "a 0 1 write 1\nb 2 ? cas 1 2\nc 4 5 read -> 2\nc 6 7 write 1\nc 8 9 read -> 1\nc 10 11 read -> 2",
  ],
  [
    "two reads of one process out of order",
    "register",
    "a 0 1 write 1\na 2 30 write 2\nb 4 5 read -> 2\nb 6 7 read -> 1",
  ],
  ["null comes back", "register", "a 0 1 write 1\nb 2 3 read -> null\nb 4 5 read -> 1"],
  ["a stale read of one key", "kv", "a 0 1 write x 1\na 2 3 write x 2\nb 4 5 read x -> 1\nb 4 5 read y -> null"],
  ["a value of another key", "kv", "a 0 1 write x 1\nb 2 3 read y -> 1"],
  ["an append is lost", "append-list", 'a 0 1 append "x"\nb 2 3 get -> ""'],
  ["an append is there twice", "append-list", 'a 0 1 append "x"\nb 2 3 get -> "xx"'],
  [
    "two readers see other orders",
    "append-list",
    'a 0 9 append "x"\nb 0 9 append "y"\nc 10 11 get -> "xy"\nd 12 13 get -> "yx"',
  ],
  ["an append that nobody made", "append-list", 'a 0 1 append "x"\nb 2 3 get -> "xz"'],
  [
    "a list that becomes shorter",
    "append-list",
    'a 0 1 append "x"\na 2 30 append "y"\nb 4 5 get -> "xy"\nb 6 7 get -> "x"',
  ],
  ["an order against time", "append-list", 'a 0 1 append "x"\na 2 3 append "y"\nb 4 5 get -> "yx"'],
  ["an unknown append that comes twice", "append-list", 'a 0 ? append "x"\nb 2 3 append "y"\nb 4 5 get -> "xyx"'],
  ["an unknown append before its call", "append-list", 'b 0 1 get -> "x"\na 4 ? append "x"'],
  [
    "an append that is known is missing behind an unknown one",
    "append-list",
    'a 0 ? append "x"\nb 2 3 append "y"\nb 4 5 get -> "x"',
  ],
  ["a sum that nobody made", "counter", "a 0 1 add 2 -> 2\nb 2 3 read -> 3"],
  ["an update is lost", "counter", "a 0 1 add 2 -> 2\nb 2 3 add 3 -> 3"],
  ["an add is counted twice", "counter", "a 0 1 add 2 -> 2\nb 2 3 read -> 4"],
  ["two adds with one answer", "counter", "a 0 9 add 1 -> 1\nb 0 9 add 1 -> 1"],
  ["adds answered against time", "counter", "a 0 1 add 1 -> 2\nb 2 3 add 1 -> 1"],
  ["a counter that goes back", "counter", "a 0 30 add 2 -> 2\nb 1 2 read -> 2\nb 3 4 read -> 0"],
  ["an unknown add that counts twice", "counter", "a 0 ? add 2\nb 4 5 read -> 2\nb 6 7 read -> 4"],
  ["an unknown add before its call", "counter", "b 0 1 read -> 2\na 4 ? add 2"],
  ["an unknown add that comes and goes", "counter", "a 0 ? add 2\nb 4 5 read -> 2\nb 6 7 read -> 0"],
  ["no choice of unknown adds gives this", "counter", "a 0 ? add 2\nb 0 ? add 4\nc 0 ? add 6\nd 5 6 read -> 7"],
  ["unknown adds that cannot be undone", "counter", "a 0 ? add 2\nb 0 ? add 3\nd 5 6 read -> 3\nd 7 8 read -> 2"],
  ["an acknowledged add that takes away is lost", "counter", "a 0 1 add 5 -> 5\na 2 3 add -2 -> 3\nb 4 5 read -> 5"],
];

describe("written by hand", () => {
  test.each(ordered)("can be ordered: %s", (_name, model, text) =>
    expectVerdict(verdictOfText(model, text), "linearizable"),
  );
  test.each(impossible)("cannot: %s", (_name, model, text) =>
    expectVerdict(verdictOfText(model, text), "notLinearizable"),
  );
});

const runs: readonly RunOptions[] = [
  ...(["register", "append-list", "counter"] as const).flatMap((model) =>
    Array.from({ length: 24 }, (_, at) => ({
      model,
      seed: at + 1,
      processes: [2, 4, 6, 8][at % 4] ?? 2,
      operations: [20, 60, 150, 300][Math.floor(at / 4) % 4] ?? 20,
      unknown: [0, 0.05, 0.1][at % 3] ?? 0,
      values: model === "append-list" ? 1_000 : ([3, 1_000][at % 2] ?? 3),
    })),
  ),
  { model: "register", seed: 101, processes: 30, operations: 900, unknown: 0.02, values: 1_000 },
  { model: "register", seed: 102, processes: 8, operations: 1_500, unknown: 0.01, values: 4 },
  { model: "append-list", seed: 103, processes: 30, operations: 900, unknown: 0.05, values: 100_000 },
  { model: "counter", seed: 104, processes: 12, operations: 3_000, unknown: 0.005, values: 1 },
];

const title = ({ model, seed, processes, operations }: RunOptions): string =>
  `${model} of seed ${seed}: ${operations} operations of ${processes} processes`;

/** Behind everything that was known to end, and longer than any unknown one could have been late. */
function endOf(operations: readonly Operation[]): number {
  return Math.max(...operations.map(({ call, ret }) => ret ?? call)) + 1_000;
}

/** What makes it impossible, whatever came before. */
function spoiled(model: RunOptions["model"], operations: readonly Operation[], seed: number): readonly Operation[] {
  const end = endOf(operations);
  const at = (from: number, op: Operation["op"]): Operation => ({
    process: "z",
    call: end + from,
    ret: end + from + 1,
    op,
  });
  if (model === "register") {
    // Two writes of values that nobody else uses, and a read of the first behind both.
    return [
      ...operations,
      at(0, { f: "write", value: -1 }),
      at(2, { f: "write", value: -2 }),
      at(4, { f: "read", answer: seed % 2 === 0 ? -1 : -3 }),
    ];
  }
  if (model === "counter") {
    // Less than all that was acknowledged, or more than all that was ever asked for.
    const known = operations.reduce(
      (sum, { op, ret }) => sum + (op.f === "add" && ret !== undefined ? op.value : 0),
      0,
    );
    const all = operations.reduce((sum, { op }) => sum + (op.f === "add" ? op.value : 0), 0);
    return [...operations, at(0, { f: "read", answer: seed % 2 === 0 ? known - 1 : all + 1 })];
  }
  // A list that lacks what was acknowledged just before it, or has it twice.
  const longest = operations.reduce(
    (text, { op }) =>
      op.f === "get" && typeof op.answer === "string" && op.answer.length > text.length ? op.answer : text,
    "",
  );
  return [
    ...operations,
    at(0, { f: "append", value: "last," }),
    at(2, { f: "get", answer: seed % 2 === 0 ? longest : `${longest}last,last,` }),
  ];
}

describe("executions", () => {
  test.each(runs.map((options) => [title(options), options] as const))(
    "%s can be ordered",
    { timeout: 60_000 },
    (_, options) => {
      expectVerdict(verdictOf(options.model, executionOf(options)), "linearizable");
    },
  );

  test.each(runs.map((options) => [title(options), options] as const))(
    "%s, spoiled, cannot",
    { timeout: 60_000 },
    (_, options) => {
      expectVerdict(
        verdictOf(options.model, spoiled(options.model, executionOf(options), options.seed)),
        "notLinearizable",
      );
    },
  );
});

afterAll(() => {
  const { linearizable, notLinearizable } = counted;
  expect(linearizable + notLinearizable).toBeGreaterThanOrEqual(200);
  expect(Math.min(linearizable, notLinearizable) * 2).toBeGreaterThanOrEqual((linearizable + notLinearizable) * 0.95);
});
