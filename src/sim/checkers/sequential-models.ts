/**
 * The machines that recorded histories are held against: register, append-list, counter, and registers by key.
 *
 * Owns: what an operation does to a state, and what the answers of a whole history tell about the states it can have had. Leaves to others:
 * the search (`order-search.ts`), reading histories (`recorded-history.ts`).
 */
import { quote } from "../../wire/canonical.js";
import type { HistoryOperation, SequentialModel, State } from "./order-search.js";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** One recorded operation. Its answer is undefined if its outcome is unknown. */
export type RecordedOp =
  | { readonly f: "read" | "get"; readonly answer: Json | undefined }
  | { readonly f: "write"; readonly value: Json }
  | { readonly f: "cas"; readonly from: Json; readonly to: Json; readonly ok: boolean | undefined }
  | { readonly f: "append"; readonly value: string }
  | { readonly f: "add"; readonly value: number; readonly answer: Json | undefined };

export const modelNames = ["register", "append-list", "counter", "kv"] as const;
export type ModelName = (typeof modelNames)[number];

/** For the operations of one history; of `kv`, of one key. */
export function modelOf(
  name: ModelName,
  operations: readonly HistoryOperation<RecordedOp>[],
): SequentialModel<RecordedOp> {
  switch (name) {
    case "register":
    case "kv":
      return register;
    case "counter":
      return counterOf(operations);
    case "append-list":
      return listOf(operations);
  }
}

/** Its state is the canonical text of the value. */
const register: SequentialModel<RecordedOp> = {
  initial: "null",
  step(state, op) {
    switch (op.f) {
      case "read":
        return op.answer !== undefined && canonicalText(op.answer) === state ? state : undefined;
      case "write":
        return canonicalText(op.value);
      case "cas":
        if (op.ok !== undefined && op.ok !== (canonicalText(op.from) === state)) return undefined;
        return canonicalText(op.from) === state ? canonicalText(op.to) : state;
      default:
        return undefined;
    }
  },
  isBlind: (op) => op.f === "write",
  classOf(op) {
    if (op.f === "cas") return `cas ${canonicalText(op.from)} ${canonicalText(op.to)} ${op.ok}`;
    return op.f === "write"
      ? `write ${canonicalText(op.value)}`
      : `read ${"answer" in op ? canonicalText(op.answer ?? null) : ""}`;
  },
  isPast: () => false,
};

/** If nothing is ever taken away, a sum above every answer fits no answer any more. */
function counterOf(operations: readonly HistoryOperation<RecordedOp>[]): SequentialModel<RecordedOp> {
  let onlyGrows = true;
  let largest = Number.NEGATIVE_INFINITY;
  for (const { op } of operations) {
    if (op.f === "add" && op.value < 0) onlyGrows = false;
    if ("answer" in op && typeof op.answer === "number") largest = Math.max(largest, op.answer);
  }
  return {
    initial: 0,
    step(state, op) {
      if (op.f === "read") return op.answer === state ? state : undefined;
      if (op.f !== "add") return undefined;
      const sum = Number(state) + op.value;
      if (op.answer !== undefined) return op.answer === sum ? sum : undefined;
      return onlyGrows && sum > largest ? undefined : sum;
    },
    isBlind: () => false,
    classOf: (op) =>
      op.f === "add"
        ? `add ${op.value} ${canonicalText(op.answer ?? null)}`
        : `read ${"answer" in op ? canonicalText(op.answer ?? null) : ""}`,
    isPast(state, op) {
      if (!onlyGrows || !("answer" in op) || typeof op.answer !== "number") return false;
      return Number(state) + (op.f === "add" ? op.value : 0) > op.answer;
    },
  };
}

/** Behind the longest text that anybody got: no get fits any more, and the order of appends does not matter. */
const beyond: State = -1;

/** Texts only grow, so each is a beginning of the longest that anybody got, or is seen by nobody. */
function listOf(operations: readonly HistoryOperation<RecordedOp>[]): SequentialModel<RecordedOp> {
  let longest = "";
  for (const { op } of operations) {
    if (op.f === "get" && typeof op.answer === "string" && op.answer.length > longest.length) longest = op.answer;
  }
  return {
    initial: "",
    step(state, op) {
      if (op.f === "get") return op.answer === state ? state : undefined;
      if (op.f !== "append") return undefined;
      if (state === beyond) return beyond;
      const text = String(state) + op.value;
      if (text.length > longest.length) return beyond;
      return longest.startsWith(text) ? text : undefined;
    },
    isBlind: () => false,
    classOf: (op) =>
      op.f === "append" ? `append ${op.value}` : `get ${"answer" in op ? canonicalText(op.answer ?? null) : ""}`,
    isPast(state, op) {
      if (op.f !== "get" || typeof op.answer !== "string") return false;
      return state === beyond || String(state).length > op.answer.length;
    },
  };
}

/** JSON with sorted keys: equal values have equal texts. */
export function canonicalText(value: Json): string {
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, field]) => `${quote(key)}:${canonicalText(field)}`).join(",")}}`;
}
