/**
 * The verdict on a history of one of the known models, and its explanation.
 *
 * Owns: judging part by part (a history is linearizable if it is for each key: Herlihy and Wing, 1990, section 3.1), and the text of the
 * shortest prefix that has no order. Leaves to others: the search. Called by `quorate check-history` and by runs of the simulator.
 */
import type { HistoryOperation } from "./effect.js";
import { searchOrder, type SearchLimits, type SearchVerdict } from "./order-search.js";
import { orderByZones, type DirectVerdict } from "./register-zones.js";
import { checkOrder } from "./replay.js";
import { orderBySums } from "./sum-order.js";
import { canonicalText, modelOf, type ModelName, type RecordedOp } from "./sequential-models.js";

export type HistoryVerdict =
  | { readonly kind: "linearizable" }
  | { readonly kind: "unknown" }
  /** `explanation`: the prefix, one operation a line. */
  | { readonly kind: "notLinearizable"; readonly explain: () => string };

/** The first part that has no order decides; one whose search was given up leaves all unknown, unless another has none. */
export function judgeHistory(
  name: ModelName,
  parts: ReadonlyMap<string, readonly HistoryOperation<RecordedOp>[]>,
  limits: SearchLimits,
): HistoryVerdict {
  let isUnknown = false;
  for (const [key, operations] of parts) {
    // Who has no answer and changes nothing says nothing.
    const telling = operations.filter(({ ret, op }) => ret !== undefined || (op.f !== "read" && op.f !== "get"));
    const verdict = judgePart(name, telling, limits);
    if (verdict.kind === "notLinearizable")
      return { kind: verdict.kind, explain: () => explain(name, telling, { ...verdict.find(), key }) };
    if (verdict.kind === "unknown") isUnknown = true;
  }
  return isUnknown ? { kind: "unknown" } : { kind: "linearizable" };
}

function judgePart(name: ModelName, operations: readonly Seen[], limits: SearchLimits): PartVerdict {
  const direct = orderDirectly(name, operations);
  if (direct.kind === "impossible") return { kind: "notLinearizable", find: () => firstImpossible(name, operations) };
  const verdict =
    direct.kind === "ordered"
      ? { kind: "linearizable" as const, order: direct.order }
      : search(name, operations, limits);
  if (verdict.kind === "linearizable") checkOrder(name, operations, verdict.order);
  return verdict.kind === "notLinearizable" ? { kind: verdict.kind, find: () => verdict } : { kind: verdict.kind };
}

function orderDirectly(name: ModelName, operations: readonly Seen[]): DirectVerdict {
  if (name === "counter") return orderBySums(operations);
  return name === "append-list" ? { kind: "undecided" } : orderByZones(operations);
}

function search(name: ModelName, operations: readonly Seen[], limits: SearchLimits): SearchVerdict {
  const model = modelOf(name, operations);
  const effects = operations.map((each) => ({ ...each, op: model.effectOf(each.op) }));
  return searchOrder(model, effects, limits);
}

/** Steps to see whether something was impossible before. */
const earlierSteps = 100_000;

/**
 * The first return behind which there is no order, of a history that has none without a search. Whoever can order a prefix can order all
 * shorter ones, so it is found by halving. What can only be seen by searching may have been impossible before.
 */
function firstImpossible(name: ModelName, operations: readonly Seen[]): Bad {
  const returns = operations.flatMap(({ ret }, number) => (ret === undefined ? [] : [{ number, ret }]));
  returns.sort((left, right) => left.ret - right.ret);
  let good = -1;
  let bad = returns.length - 1;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (orderDirectly(name, prefixOf(operations, returns[middle]?.ret ?? 0)).kind === "impossible") bad = middle;
    else good = middle;
  }
  const { number: at, ret: end } = returns[bad] ?? { number: -1, ret: 0 };
  const earlier = search(name, prefixOf(operations, end), { stepsMax: earlierSteps, isOutOfTime: () => false });
  return earlier.kind === "notLinearizable" ? earlier : { kind: "notLinearizable", at, before: [] };
}

/** As it looked at this time, with the same numbers: what had not been called is of an unknown outcome, and comes too late for anybody. */
function prefixOf(operations: readonly Seen[], end: number): readonly Seen[] {
  return operations.map((each) => (each.ret !== undefined && each.ret > end ? { ...each, ret: undefined } : each));
}

type Seen = HistoryOperation<RecordedOp>;
type PartVerdict =
  { readonly kind: "linearizable" | "unknown" } | { readonly kind: "notLinearizable"; readonly find: () => Bad };
type Bad = Extract<SearchVerdict, { readonly kind: "notLinearizable" }>;

const statesShown = 8;

/** What had been called by the return that cannot be; what had not returned by then may have taken effect or not. */
function explain(name: ModelName, operations: readonly Seen[], bad: Bad & { readonly key: string }): string {
  const { key, before } = bad;
  const at = operations[bad.at];
  const end = at?.ret ?? Infinity;
  const { describe } = modelOf(name, operations);
  const prefix = operations.filter(({ call }) => call <= end).sort((left, right) => left.call - right.call);
  const lines = prefix.map((operation) => {
    const isOpen = operation.ret === undefined || operation.ret > end;
    const until = operation === at || !isOpen ? timeOf(operation.ret) : "not returned";
    return `${operation === at ? "> " : "  "}${timeOf(operation.call).padStart(12)} to ${until.padEnd(12)}  ${operation.process.padEnd(6)}  ${describeOp(operation.op, isOpen && operation !== at)}`;
  });
  const more = before.length > statesShown ? `, and ${before.length - statesShown} more` : "";
  return [
    `${prefix.length} operations${key === "" ? "" : ` of key ${key}`} cannot be put into one order; without the last return they can.`,
    ...lines,
    before.length === 0
      ? "What the last one saw was never written by then, or was overwritten before it began."
      : `Before that return the state could be ${before.slice(0, statesShown).map(describe).join(" or ")}${more}; none lets it answer so.`,
  ].join("\n");
}

function timeOf(time: number | undefined): string {
  return time === undefined ? "never" : String(Math.round(time * 1_000) / 1_000);
}

function describeOp(op: RecordedOp, isOpen: boolean): string {
  const answer = (value: string): string => (isOpen ? "" : ` -> ${value}`);
  switch (op.f) {
    case "read":
    case "get":
      return `${op.f}${answer(canonicalText(op.answer ?? null))}`;
    case "write":
      return `write ${canonicalText(op.value)}`;
    case "cas":
      return `cas from ${canonicalText(op.from)} to ${canonicalText(op.to)}${answer(op.ok === true ? "done" : "refused")}`;
    case "append":
      return `append ${canonicalText(op.value)}`;
    case "add":
      return `add ${op.value}${answer(canonicalText(op.answer ?? null))}`;
  }
}
