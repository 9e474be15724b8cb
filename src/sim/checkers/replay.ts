/**
 * The cross-check of every "linearizable": the order is executed once more on a machine that knows nothing of any search.
 *
 * Owns: the machines in their plainest form, and what makes a list of operations an order of a history. Called by `history-verdict.ts`.
 */
import { invariant } from "../../base/invariant.js";
import type { HistoryOperation } from "./effect.js";
import { canonicalText, type Json, type ModelName, type RecordedOp } from "./sequential-models.js";

/** Stops the process if it is not an order of these operations: then the search has a bug. `order`: their numbers. */
export function checkOrder(
  name: ModelName,
  operations: readonly HistoryOperation<RecordedOp>[],
  order: readonly number[],
): void {
  const placed = new Set(order);
  invariant(placed.size === order.length, "no operation takes effect twice");
  invariant(
    operations.every(({ ret }, number) => ret === undefined || placed.has(number)),
    "every operation that returned takes effect",
  );
  let state: Json = name === "counter" ? 0 : name === "append-list" ? "" : null;
  let lastCall = Number.NEGATIVE_INFINITY;
  for (const number of order) {
    const operation = operations[number];
    invariant(operation !== undefined, "an order consists of operations of the history");
    lastCall = Math.max(lastCall, operation.call);
    invariant(operation.ret === undefined || lastCall <= operation.ret, "nothing takes effect behind its return");
    const [next, answer] = execute(state, operation.op);
    const { op } = operation;
    const seen = op.f === "cas" ? op.ok : "answer" in op ? op.answer : undefined;
    invariant(
      operation.ret === undefined ||
        seen === undefined ||
        answer === seen ||
        canonicalText(answer) === canonicalText(seen),
      "every operation answers what was seen",
    );
    state = next;
  }
}

function execute(state: Json, op: RecordedOp): readonly [Json, Json] {
  switch (op.f) {
    case "read":
    case "get":
      return [state, state];
    case "write":
      return [op.value, null];
    case "cas": {
      const ok = canonicalText(state) === canonicalText(op.from);
      return [ok ? op.to : state, ok];
    }
    case "append":
      return [`${typeof state === "string" ? state : ""}${op.value}`, null];
    case "add": {
      const sum = Number(state) + op.value;
      return [sum, sum];
    }
  }
}
