/**
 * Histories of known verdict: a notation for those written by hand, and a generator of real executions.
 *
 * Owns: both. A line of the notation is `process call return what`, for example `a 0 10 write 1` or `b 5 ? cas 1 2`; `?` is an unknown
 * outcome, and what follows `->` is the answer. Called by `test/checker/`.
 */
import { nextBetween, nextFraction, randomStream, type Random } from "../src/base/random.js";
import { judgeHistory } from "../src/sim/checkers/history-verdict.js";
import { readHistory } from "../src/sim/checkers/recorded-history.js";
import type { HistoryOperation } from "../src/sim/checkers/effect.js";
import type { ModelName, RecordedOp } from "../src/sim/checkers/sequential-models.js";

export type Operation = HistoryOperation<RecordedOp>;

export function verdictOf(model: ModelName, operations: readonly Operation[]): string {
  const limits = { stepsMax: 100_000_000, isOutOfTime: () => false };
  return judgeHistory(model, new Map([["", operations]]), limits).kind;
}

/** By the form of the file, so that reading it is tested as well. */
export function verdictOfText(model: ModelName, text: string): string {
  const ops = text
    .trim()
    .split("\n")
    .map((line) => lineOf(model, line.trim()));
  const history = readHistory(JSON.stringify({ id: 1, model, ops }));
  if (typeof history === "string") throw new Error(history);
  return judgeHistory(model, history.parts, { stepsMax: 100_000_000, isOutOfTime: () => false }).kind;
}

function lineOf(model: ModelName, line: string): object {
  const [before = "", answer] = line.split("->").map((part) => part.trim());
  const [p, call, ret, f = "", ...rest] = before.split(/\s+/);
  const key = model === "kv" ? { key: rest.shift() } : {};
  const values = rest.map((word) => JSON.parse(word) as unknown);
  const args = f === "cas" ? { from: values[0], to: values[1] } : values.length > 0 ? { value: values[0] } : {};
  const out =
    answer === undefined ? {} : f === "cas" ? { ok: answer === "ok" } : { value: JSON.parse(answer) as unknown };
  return { p, call: Number(call), ret: ret === "?" ? null : Number(ret), f, ...key, ...args, out };
}

export interface RunOptions {
  readonly model: Exclude<ModelName, "kv">;
  readonly seed: number;
  readonly processes: number;
  readonly operations: number;
  /** Share of operations whose outcome is unknown; half of them never take effect, the others may do so late. */
  readonly unknown: number;
  /** Different values that are written. */
  readonly values: number;
}

interface Done {
  readonly effectAt: number;
  readonly operation: Operation;
}

const initialOf = { register: null, "append-list": "", counter: 0 } as const;

/** A real execution: each operation takes effect at one moment between its call and its return. So it is linearizable. */
export function executionOf({ model, seed, processes, operations, unknown, values }: RunOptions): readonly Operation[] {
  const random = randomStream(seed, "history");
  const free = new Array<number>(processes).fill(0);
  const planned: Done[] = [];
  for (let at = 0; at < operations; at += 1) {
    const process = at % processes;
    const call = (free[process] ?? 0) + nextFraction(random) * 2;
    const length = 1 + nextFraction(random) * 10;
    free[process] = call + length;
    const isUnknown = nextFraction(random) < unknown;
    const op = drawOp(model, random, values);
    if (isUnknown && (op.f === "read" || op.f === "get")) continue;
    const late = nextFraction(random) < 0.5 ? Infinity : call + nextFraction(random) * 200;
    const effectAt = isUnknown ? late : call + nextFraction(random) * length;
    planned.push({
      effectAt,
      operation: { process: `p${process}`, call, ret: isUnknown ? undefined : call + length, op },
    });
  }
  return answered(model, planned);
}

function answered(model: RunOptions["model"], planned: readonly Done[]): readonly Operation[] {
  let state: string | number | null = initialOf[model];
  const operations: Operation[] = [];
  for (const { effectAt, operation } of [...planned].sort((left, right) => left.effectAt - right.effectAt)) {
    const { op, ret } = operation;
    const isKnown = ret !== undefined;
    const before = state;
    if (effectAt < Infinity) state = after(state, op);
    operations.push({ ...operation, op: isKnown ? withAnswer(op, before, state) : op });
  }
  return operations.sort((left, right) => left.call - right.call);
}

function after(state: string | number | null, op: RecordedOp): string | number | null {
  switch (op.f) {
    case "write":
      return op.value as number;
    case "cas":
      return state === op.from ? (op.to as number) : state;
    case "append":
      return `${state}${op.value}`;
    case "add":
      return Number(state) + op.value;
    default:
      return state;
  }
}

function withAnswer(op: RecordedOp, before: string | number | null, now: string | number | null): RecordedOp {
  if (op.f === "read" || op.f === "get") return { ...op, answer: before };
  if (op.f === "add") return { ...op, answer: now };
  return op.f === "cas" ? { ...op, ok: before === op.from } : op;
}

function drawOp(model: RunOptions["model"], random: Random, values: number): RecordedOp {
  const value = nextBetween(random, 1, values);
  const draw = nextFraction(random);
  if (model === "counter") {
    return draw < 0.5
      ? { f: "read", answer: undefined }
      : { f: "add", value: nextBetween(random, 1, 3), answer: undefined };
  }
  if (model === "append-list")
    return draw < 0.5 ? { f: "get", answer: undefined } : { f: "append", value: `${value},` };
  if (draw < 0.4) return { f: "write", value };
  return draw < 0.8
    ? { f: "read", answer: undefined }
    : { f: "cas", from: nextBetween(random, 1, values), to: value, ok: undefined };
}
