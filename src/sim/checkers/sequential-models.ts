/**
 * The machines that recorded histories are held against: register, append-list, counter, and registers by key.
 *
 * Owns: what an operation does to a state, and what the answers of a whole history tell about the states it can have had. Leaves to others:
 * the search (`order-search.ts`), reading histories (`recorded-history.ts`).
 */
import { quote } from "../../wire/canonical.js";
import type { Effect, HistoryOperation, Machine, State } from "./effect.js";

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

/** A machine as the search wants it: made for one history, whose answers tell which states matter. */
export interface Model extends Machine {
  effectOf(op: RecordedOp): Effect;
  describe(state: State): string;
}

type Seen = HistoryOperation<RecordedOp>;

/** For the operations of one history; of `kv`, of one key. */
export function modelOf(name: ModelName, operations: readonly Seen[]): Model {
  switch (name) {
    case "register":
    case "kv":
      return { initial: "null", other: "any other", isNarrow: true, effectOf: registerEffect, describe: String };
    case "counter":
      return counterOf(operations);
    case "append-list":
      return listOf(operations);
  }
}

const anywhere = { needs: undefined, isBlind: false, isObserver: false, isPast: (): boolean => false };
const observer = { ...anywhere, isObserver: true };

/** Possible nowhere: its answer alone is wrong. */
const impossible: Effect = { ...observer, name: "impossible", step: () => undefined, isPast: () => true };

/** Its state is the canonical text of the value. */
function registerEffect(op: RecordedOp): Effect {
  switch (op.f) {
    case "read": {
      if (op.answer === undefined) return { ...observer, name: "read", step: (state) => state };
      const needs = canonicalText(op.answer);
      return { ...observer, name: `read ${needs}`, needs, step: (state) => (state === needs ? state : undefined) };
    }
    case "write": {
      const value = canonicalText(op.value);
      return { ...anywhere, name: `write ${value}`, isBlind: true, step: () => value };
    }
    case "cas": {
      const [from, to] = [canonicalText(op.from), canonicalText(op.to)];
      const name = `cas ${from} ${to} ${op.ok}`;
      if (op.ok === false) return { ...observer, name, step: (state) => (state === from ? undefined : state) };
      // Of an unknown outcome: where it would be refused, it need not take effect.
      return { ...anywhere, name, needs: from, step: (state) => (state === from ? to : undefined) };
    }
    default:
      return impossible;
  }
}

/** If nothing is ever taken away, a sum above every answer fits no answer any more. */
function counterOf(operations: readonly Seen[]): Model {
  let onlyGrows = true;
  let largest = Number.NEGATIVE_INFINITY;
  for (const { op } of operations) {
    if (op.f === "add" && op.value < 0) onlyGrows = false;
    if ("answer" in op && typeof op.answer === "number") largest = Math.max(largest, op.answer);
  }
  const effectOf = (op: RecordedOp): Effect => {
    if ((op.f !== "add" && op.f !== "read") || (op.answer !== undefined && typeof op.answer !== "number"))
      return impossible;
    const { answer } = op;
    const by = op.f === "add" ? op.value : 0;
    const isPast = (state: State): boolean => onlyGrows && answer !== undefined && Number(state) + by > answer;
    const step = (state: State): State | undefined => {
      const sum = Number(state) + by;
      if (answer !== undefined) return sum === answer ? sum : undefined;
      return onlyGrows && sum > largest ? undefined : sum;
    };
    // Whole numbers can be subtracted again without loss.
    const needs =
      answer !== undefined && [answer, by, answer - by].every(Number.isSafeInteger) ? answer - by : undefined;
    return { ...anywhere, name: `${op.f} ${by} ${answer}`, isObserver: by === 0, needs, step, isPast };
  };
  return { initial: 0, other: undefined, isNarrow: onlyGrows, effectOf, describe: String };
}

/** Behind the longest text that anybody got: no get fits any more, and the order of appends does not matter. */
const beyond = -1;

/** Texts only grow, so each is a beginning of the longest that anybody got, and its length is the state; or it is seen by nobody. */
function listOf(operations: readonly Seen[]): Model {
  let longest = "";
  for (const { op } of operations) {
    if (op.f === "get" && typeof op.answer === "string" && op.answer.length > longest.length) longest = op.answer;
  }
  const effectOf = (op: RecordedOp): Effect => {
    if (op.f === "append") return appendOf(op.value, longest);
    if (op.f !== "get" || (op.answer !== undefined && typeof op.answer !== "string")) return impossible;
    if (op.answer === undefined) return { ...observer, name: "get", step: (state) => state };
    if (!longest.startsWith(op.answer)) return impossible;
    const needs = op.answer.length;
    const step = (state: State): State | undefined => (state === needs ? state : undefined);
    const isPast = (state: State): boolean => state === beyond || Number(state) > needs;
    return { ...observer, name: `get ${needs}`, needs, step, isPast };
  };
  const describe = (state: State): string =>
    state === beyond ? "longer than any text that was got" : quote(longest.slice(0, Number(state)));
  return { initial: 0, other: undefined, isNarrow: true, effectOf, describe };
}

function appendOf(value: string, longest: string): Effect {
  const step = (state: State): State | undefined => {
    if (state === beyond) return beyond;
    const at = Number(state);
    if (at + value.length > longest.length) return beyond;
    return longest.startsWith(value, at) ? at + value.length : undefined;
  };
  return { ...anywhere, name: `append ${value}`, step };
}

/** JSON with sorted keys: equal values have equal texts. */
export function canonicalText(value: Json): string {
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, field]) => `${quote(key)}:${canonicalText(field)}`).join(",")}}`;
}
