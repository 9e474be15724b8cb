/** Small random histories: the search agrees with one that tries every order, for each model and both verdicts. */
import { expect, test } from "vitest";

import { nextBetween, nextFraction, randomStream, type Random } from "../../src/base/random.js";
import type { RecordedOp } from "../../src/sim/checkers/sequential-models.js";
import { verdictOf, type Operation } from "../../test-support/histories.js";

type State = string | number | null;

function after(state: State, op: RecordedOp): State | undefined {
  switch (op.f) {
    case "read":
    case "get":
      return op.answer === state ? state : undefined;
    case "write":
      return op.value as number;
    case "cas":
      if (op.ok !== undefined && op.ok !== (state === op.from)) return undefined;
      return state === op.from ? (op.to as number) : state;
    case "append":
      return `${state}${op.value}`;
    case "add": {
      const sum = Number(state) + op.value;
      return op.answer === undefined || op.answer === sum ? sum : undefined;
    }
  }
}

/** Every order that time allows. */
function canBeOrdered(initial: State, operations: readonly Operation[]): boolean {
  const seen = new Set<string>();
  const from = (left: readonly Operation[], state: State): boolean => {
    if (left.every(({ ret }) => ret === undefined)) return true;
    const key = `${left.map((each) => operations.indexOf(each)).join(",")}|${String(state)}`;
    if (seen.has(key)) return false;
    seen.add(key);
    const firstReturn = Math.min(...left.map(({ ret }) => ret ?? Infinity));
    return left.some((operation) => {
      const next = operation.call > firstReturn ? undefined : after(state, operation.op);
      return (
        next !== undefined &&
        from(
          left.filter((other) => other !== operation),
          next,
        )
      );
    });
  };
  return from(operations, initial);
}

interface Kind {
  readonly model: "register" | "counter" | "append-list";
  readonly values: "few" | "own";
}

/** `values`: written ones are drawn from so many, or each is written once. */
function drawOp(
  { model, values }: Kind,
  random: Random,
  place: { readonly at: number; readonly isKnown: boolean },
): RecordedOp {
  const { isKnown } = place;
  const value = nextBetween(random, 0, 2);
  const written = values === "own" ? place.at : value;
  const draw = nextFraction(random);
  const answer = <Value>(known: Value): Value | undefined => (isKnown ? known : undefined);
  if (model === "counter") {
    if (draw < 0.4 && isKnown) return { f: "read", answer: nextBetween(random, 0, 4) };
    return {
      f: "add",
      value: draw < 0.5 && values !== "own" ? -1 : 1 + value,
      answer: answer(nextBetween(random, 0, 5)),
    };
  }
  if (model === "append-list") {
    const letters = ["", "a", "b", "ab", "ba", "aab"];
    if (draw < 0.4 && isKnown) return { f: "get", answer: letters[nextBetween(random, 0, 5)] ?? "" };
    return { f: "append", value: draw < 0.7 ? "a" : "b" };
  }
  if (draw < 0.35) return { f: "write", value: written };
  if (draw < 0.7 && isKnown) return { f: "read", answer: draw < 0.4 ? null : value };
  return {
    f: "cas",
    from: draw > 0.95 ? null : value,
    to: values === "own" ? written : nextBetween(random, 0, 2),
    ok: answer(draw < 0.85),
  };
}

/** Answers come from a real execution, but for one that is drawn: so both verdicts are common. */
function drawHistory(kind: Kind, initial: State, random: Random): readonly Operation[] {
  let state: State = initial;
  let time = 0;
  const count = nextBetween(random, 2, 7);
  const spoilt = nextFraction(random) < 0.7 ? nextBetween(random, 0, count - 1) : -1;
  return Array.from({ length: count }, (_, at) => {
    time += nextBetween(random, 0, 2);
    const isKnown = nextFraction(random) < 0.8;
    let op = drawOp(kind, random, { at, isKnown });
    const before: State = state;
    if (isKnown || nextFraction(random) < 0.6) state = after(before, withoutAnswer(op)) ?? before;
    if (isKnown && at !== spoilt) op = answered(op, before, state);
    const call = time - nextBetween(random, 0, 3);
    const ret = isKnown ? Math.max(call, time + nextBetween(random, 0, 3)) : undefined;
    return { process: `p${at}`, call, ret, op };
  });
}

function withoutAnswer(op: RecordedOp): RecordedOp {
  if (op.f === "cas") return { ...op, ok: undefined };
  return op.f === "add" ? { ...op, answer: undefined } : op;
}

function answered(op: RecordedOp, before: State, now: State): RecordedOp {
  if (op.f === "read" || op.f === "get") return { ...op, answer: before };
  if (op.f === "add") return { ...op, answer: now };
  return op.f === "cas" ? { ...op, ok: before === op.from } : op;
}

test.each([
  ["register", "few", null],
  ["register", "own", null],
  ["counter", "few", 0],
  ["counter", "own", 0],
  ["append-list", "few", ""],
] as const)("%s, %s values: 2,000 random histories", { timeout: 120_000 }, (model, values, initial) => {
  const random = randomStream(7, `oracle ${model} ${values}`);
  let ordered = 0;
  for (let count = 0; count < 2_000; count += 1) {
    const history = drawHistory({ model, values }, initial, random);
    const expected = canBeOrdered(initial, history);
    if (expected) ordered += 1;
    expect(verdictOf(model, history), JSON.stringify(history)).toBe(expected ? "linearizable" : "notLinearizable");
  }

  expect(ordered).toBeGreaterThan(200);
  expect(ordered).toBeLessThan(1_800);
});
