/**
 * Commands that cannot be finished: where, why, and who says so.
 *
 * Owns: the nouns. Leaves to others: the verdict (`execution/skip-table.ts`), reporting (`replica/unfinished.ts`).
 */
import type { AuditMembers } from "./audit.js";
import type { LogIndex, ReplicaId } from "./ids.js";

/** `step` counts what an entry does, from 0: the timers that are due, the sweep if the machine has one, the commands that run. */
export interface StepPosition {
  readonly index: LogIndex;
  readonly step: number;
}

/**
 * `stack`: its calls are nested too deeply. `memory`: there was no memory for what it wanted. `time`: it ran for longer than a command may.
 * `crash`: the process ended while it ran, more than once.
 */
export const unfinishedReasons = ["stack", "memory", "time", "crash"] as const;
export type UnfinishedReason = (typeof unfinishedReasons)[number];

/** A step that is not executed. */
export interface Unfinished {
  readonly at: StepPosition;
  readonly reason: UnfinishedReason;
}

/** One replica cannot finish a step, and goes no further. An ordered entry of kind `report` holds it. */
export interface SkipReport extends Unfinished {
  readonly replica: ReplicaId;
  readonly incarnation: number;
  /** As of the entry before: so all who report the same position name the same. */
  readonly members: AuditMembers;
}

export function isSamePosition(left: StepPosition, right: StepPosition): boolean {
  return left.index === right.index && left.step === right.step;
}
