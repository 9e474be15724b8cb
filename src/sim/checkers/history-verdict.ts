/**
 * The verdict on a history of one of the known models, and its explanation.
 *
 * Owns: judging part by part (a history is linearizable if it is for each key: Herlihy and Wing, 1990, section 3.1), and the text of the
 * shortest prefix that has no order. Leaves to others: the search. Called by `quorate check-history` and by runs of the simulator.
 */
import {
  searchOrder,
  type HistoryOperation,
  type SearchLimits,
  type SearchVerdict,
  type State,
} from "./order-search.js";
import { refuteRegister } from "./register-refutation.js";
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
      return { kind: verdict.kind, explain: () => explain(key, telling, verdict) };
    if (verdict.kind === "unknown") isUnknown = true;
  }
  return isUnknown ? { kind: "unknown" } : { kind: "linearizable" };
}

function judgePart(name: ModelName, operations: readonly Seen[], limits: SearchLimits): SearchVerdict<RecordedOp> {
  const refuted = name === "register" || name === "kv" ? refuteRegister(operations) : undefined;
  const end = refuted?.ret;
  if (refuted === undefined || end === undefined) return searchOrder(modelOf(name, operations), operations, limits);
  // Something may have been impossible before.
  const prefix = operations.filter(({ call }) => call <= end).map((each) => openedAfter(each, end));
  const earlier = searchOrder(modelOf(name, prefix), prefix, {
    ...limits,
    stepsMax: Math.min(limits.stepsMax, 200_000),
  });
  const found =
    earlier.kind === "notLinearizable"
      ? operations.find(({ op, call }) => op === earlier.at.op && call === earlier.at.call)
      : undefined;
  if (earlier.kind !== "notLinearizable" || found === undefined)
    return { kind: "notLinearizable", at: refuted, before: [] };
  return { ...earlier, at: found };
}

/** As it looked at this time. */
function openedAfter(operation: Seen, end: number): Seen {
  return operation.ret !== undefined && operation.ret > end ? { ...operation, ret: undefined } : operation;
}

type Seen = HistoryOperation<RecordedOp>;
type Bad = Extract<SearchVerdict<RecordedOp>, { readonly kind: "notLinearizable" }>;

const statesShown = 8;

/** What had been called by the return that cannot be; what had not returned by then may have taken effect or not. */
function explain(key: string, operations: readonly HistoryOperation<RecordedOp>[], { at, before }: Bad): string {
  const end = at.ret ?? at.call;
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
      : `Before that return the state could be ${before.slice(0, statesShown).map(describeState).join(" or ")}${more}; none lets it answer so.`,
  ].join("\n");
}

function timeOf(time: number | undefined): string {
  return time === undefined ? "never" : String(Math.round(time * 1_000) / 1_000);
}

function describeState(state: State): string {
  return state === -1 ? "longer than any text that was got" : String(state);
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
