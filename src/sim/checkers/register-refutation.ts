/**
 * Two ways to see at once that a register's history has no order, where a search would first have to try all others.
 *
 * Owns: a value that nobody can have written, and a value that was surely overwritten before it was seen (the zones of Gibbons and Korach,
 * "Testing Shared Memories", 1997, for values with one writer). Finding nothing proves nothing. Called by `history-verdict.ts`.
 */
import type { HistoryOperation } from "./order-search.js";
import { canonicalText, type RecordedOp } from "./sequential-models.js";

type Seen = HistoryOperation<RecordedOp>;

/** The operation that returns first among those that cannot have seen what they saw. */
export function refuteRegister(operations: readonly Seen[]): Seen | undefined {
  const writers = new Map<string, Seen[]>();
  const overwriters: { readonly operation: Seen; readonly value: string }[] = [];
  for (const operation of operations) {
    const value = writtenBy(operation.op);
    if (value === undefined) continue;
    const present = writers.get(value);
    if (present === undefined) writers.set(value, [operation]);
    else present.push(operation);
    const { op, ret } = operation;
    if (ret !== undefined && (op.f === "write" || (op.f === "cas" && op.ok === true)))
      overwriters.push({ operation, value });
  }
  let first: Seen | undefined;
  for (const operation of operations) {
    const value = seenBy(operation.op);
    if (value === undefined || operation.ret === undefined) continue;
    if (first?.ret !== undefined && first.ret <= operation.ret) continue;
    if (cannotBeSeen(operation, value, writers.get(value) ?? [], overwriters)) first = operation;
  }
  return first;
}

function cannotBeSeen(
  reader: Seen,
  value: string,
  writers: readonly Seen[],
  overwriters: readonly { readonly operation: Seen; readonly value: string }[],
): boolean {
  const possible = writers.filter((writer) => writer !== reader && writer.call <= (reader.ret ?? Infinity));
  const isInitial = value === "null";
  if (possible.length === 0 && !isInitial) return true;
  if (possible.length > (isInitial ? 0 : 1)) return false;
  // One writer, or nobody: then whatever came after it and ended before the reader began has overwritten it.
  const [writer] = possible;
  const since = writer === undefined ? Number.NEGATIVE_INFINITY : writer.ret;
  if (since === undefined) return false;
  return overwriters.some(({ operation, value: other }) => {
    return (
      operation !== reader && other !== value && operation.call > since && (operation.ret ?? Infinity) < reader.call
    );
  });
}

/** What it leaves behind, if it takes effect; undefined for what changes nothing. */
function writtenBy(op: RecordedOp): string | undefined {
  if (op.f === "write") return canonicalText(op.value);
  return op.f === "cas" && op.ok !== false ? canonicalText(op.to) : undefined;
}

function seenBy(op: RecordedOp): string | undefined {
  if (op.f === "read") return op.answer === undefined ? undefined : canonicalText(op.answer);
  return op.f === "cas" && op.ok === true ? canonicalText(op.from) : undefined;
}
