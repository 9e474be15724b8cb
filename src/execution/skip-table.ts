/**
 * Which steps are skipped, by the reports in the order: replicated state, a part of `report-table.ts`.
 *
 * Owns: the rule, and remembering what was skipped. A step is skipped once more than half of the voters have reported it: f + 1 of an odd
 * number. Of an even one f + 1 could leave as many who have passed it, and these could certify a checkpoint of theirs. Under Byzantine faults it
 * takes a quorum, as a checkpoint does: the two share a replica that does not lie, and that one has not done both. While members change
 * it is that many of both sets. Bounded: one report of each replica, its last; what a certified checkpoint covers is forgotten, and the oldest
 * of too many.
 */
import type { LogIndex, ReplicaId } from "../model/ids.js";
import { crashRules, type ReportRules } from "../model/report-rules.js";
import { isSamePosition, type SkipReport, type StepPosition, type Unfinished } from "../model/skip.js";
import { decodeSkipped, decodeSkipReport, encodeSkipped, encodeSkipReport } from "../wire/skip-codec.js";

/** Remembered only so that a late report of one is none of another. */
const skippedMax = 1_024;

export class SkipTable {
  readonly #rules: ReportRules;
  #reports: SkipReport[] = [];
  /** In the order in which that was decided. */
  #skipped: Unfinished[] = [];

  constructor(rules: ReportRules = crashRules) {
    this.#rules = rules;
  }

  /** Answers the step that is skipped from now on, if this report decides it. The reason is that of the first who reported it. */
  add(report: SkipReport): Unfinished | undefined {
    const { at, replica, members } = report;
    if (this.isSkipped(at)) return undefined;
    // A replica is held at one step at a time: what it reported before is settled.
    this.#reports = this.#reports.filter((other) => other.replica !== replica);
    this.#reports.push(report);
    const same = this.#reports.filter((other) => isSamePosition(other.at, at));
    const isEnoughOf = (voters: readonly ReplicaId[]): boolean =>
      same.filter((other) => voters.includes(other.replica)).length >= this.#rules.quorum(voters.length);
    const [first] = same;
    if (first === undefined || members.voterSets.length === 0 || !members.voterSets.every(isEnoughOf)) return undefined;
    this.#reports = this.#reports.filter((other) => !isSamePosition(other.at, at));
    const skipped = { at, reason: first.reason };
    this.#skipped = [...this.#skipped, skipped].slice(-skippedMax);
    return skipped;
  }

  isSkipped(at: StepPosition): boolean {
    return this.#skipped.some((skipped) => isSamePosition(skipped.at, at));
  }

  isReported(at: StepPosition, replica: ReplicaId): boolean {
    return this.#reports.some((report) => report.replica === replica && isSamePosition(report.at, at));
  }

  /** A checkpoint of this index is certified: what happened before it is settled. */
  forgetUpTo(index: LogIndex): void {
    this.#reports = this.#reports.filter(({ at }) => at.index > index);
    this.#skipped = this.#skipped.filter(({ at }) => at.index > index);
  }

  encode(): readonly Uint8Array[] {
    return [...this.#reports.map(encodeSkipReport), ...this.#skipped.map(encodeSkipped)];
  }

  /** Takes back one of what `encode` gave; whether it is in its form. */
  restore(bytes: Uint8Array): boolean {
    const report = decodeSkipReport(bytes);
    const skipped = decodeSkipped(bytes);
    if (report !== undefined) this.#reports.push(report);
    if (skipped !== undefined) this.#skipped.push(skipped);
    return report !== undefined || skipped !== undefined;
  }
}
