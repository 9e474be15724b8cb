/**
 * The numbered rules of execution.
 *
 * Owns: X1 to X8, each in one place. A violated one is our own bug, and the replica stops: a stopped replica is replaced, a wrong
 * one spreads. Called by the executor and its tables.
 *
 *   X1 each index is executed exactly once, in order (hazard D13)
 *   X2 agreed time never goes back
 *   X3 a session keeps exactly the replies from `releasedBelow` to `next`, and its tombstones ahead
 *   X4 a machine answers one outcome for each command
 *   X5 sessions and keys stay within their limits
 *   X6 after a violation nothing more is executed
 *   X7 nothing is still running between two entries, but of one whose command cannot be finished
 *   X8 only what is not executed is held
 */
import { invariant } from "../base/invariant.js";
import type { Entry } from "../model/entry.js";
import type { AgreedTime, LogIndex, RequestNumber } from "../model/ids.js";

export function checkNextEntry(entry: Entry, executed: LogIndex, time: AgreedTime): void {
  invariant(entry.index === executed + 1, "X1 each index is executed exactly once, in order");
  invariant(Number.isSafeInteger(entry.time) && entry.time >= time, "X2 agreed time never goes back");
}

export interface CheckedSession {
  readonly next: RequestNumber;
  readonly releasedBelow: RequestNumber;
  readonly tombstonesAhead: number;
  readonly replies: { readonly size: number };
  readonly replyBytes: number;
}

export function checkSession(session: CheckedSession): void {
  const kept = session.next - session.releasedBelow + session.tombstonesAhead;
  invariant(session.replies.size === kept, "X3 a session keeps exactly the replies from releasedBelow to next");
  invariant(session.replyBytes >= 0, "X3 a session never keeps less than nothing");
}

export function checkOutcomes(outcomes: number, commands: number): void {
  invariant(outcomes === commands, "X4 a machine answers one outcome for each command");
}

export function checkWithin(count: number, max: number): void {
  invariant(count <= max, "X5 sessions and keys stay within their limits");
}

export function checkHeld(index: LogIndex, executed: LogIndex): void {
  invariant(index > executed, "X8 only what is not executed is held");
}

export function checkWhole(midEntry: boolean): void {
  invariant(!midEntry, "X6 after a violation nothing more is executed");
}
