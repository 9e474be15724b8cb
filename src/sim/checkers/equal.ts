/**
 * Equality of plain data with binary in it: entries, replies, outcomes.
 *
 * Owns: the comparison. Called by the checkers for everything that must be the same on all replicas.
 */
import { equalBytes } from "../../base/bytes.js";

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
