/**
 * Equality of plain data with binary in it: entries, replies, outcomes.
 *
 * Owns: the comparison. Called by the checkers for everything that must be the same on all replicas.
 */
import { equalBytes } from "../../base/bytes.js";
import type { Executed } from "../../execution/executor.js";
import type { Reply, RequestKey } from "../../model/request.js";

/** As `equalPlain`, for what is compared of every entry on every replica. */
export function equalExecuted(left: readonly Executed[], right: readonly Executed[]): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at += 1) {
    const [one, other] = [left[at], right[at]];
    if (one === undefined || other === undefined || one.repeated !== other.repeated) return false;
    if (!isSameKey(one.key, other.key) || !equalReplies(one.reply, other.reply)) return false;
  }
  return true;
}

function isSameKey(left: RequestKey, right: RequestKey): boolean {
  if (left.kind !== "command" || right.kind !== "command") return equalPlain(left, right);
  return left.session === right.session && left.number === right.number;
}

export function equalReplies(left: Reply, right: Reply): boolean {
  if (left.status !== "ok" || right.status !== "ok") return equalPlain(left, right);
  return left.expiresAt === right.expiresAt && equalBytes(left.output, right.output);
}

export function equalPlain(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (left instanceof Uint8Array) return right instanceof Uint8Array && equalBytes(left, right);
  if (Array.isArray(left)) {
    if (!Array.isArray(right) || left.length !== right.length) return false;
    for (let at = 0; at < left.length; at += 1) if (!equalPlain(left[at], right[at])) return false;
    return true;
  }
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  for (const name of names) {
    if (!equalPlain((left as Record<string, unknown>)[name], (right as Record<string, unknown>)[name])) return false;
  }
  return true;
}
