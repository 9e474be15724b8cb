/**
 * How fresh an answer must be: from the words of people to what travels.
 *
 * Owns: the checks. An age is rounded down, so that nothing older is answered than was asked for. Called by the client and by the
 * doors.
 */
import type { Read } from "../api/client-types.js";
import { logIndex } from "../model/ids.js";
import type { ReadLevel } from "../model/request.js";

/** A text says what is wrong. */
export function readLevelOf(read: Read): ReadLevel | string {
  if (read === "linearizable" || read === "lease" || read === "local") return { kind: read };
  if (typeof read === "object" && "atLeast" in read) {
    const index = logIndex(read.atLeast);
    if (index !== undefined) return { kind: "atLeast", index };
    return `Cannot read at index ${String(read.atLeast)}: an index is a whole number from 0`;
  }
  if (typeof read === "object" && "maxStalenessMs" in read) {
    const ms = Math.floor(Number(read.maxStalenessMs));
    if (ms >= 0 && ms <= Number.MAX_SAFE_INTEGER) return { kind: "maxStaleness", ms };
    return `Cannot read what is at most ${String(read.maxStalenessMs)} ms old: an age is a number from 0`;
  }
  return `Cannot read "${String(read)}": expected linearizable, lease, local, { atLeast } or { maxStalenessMs }`;
}
