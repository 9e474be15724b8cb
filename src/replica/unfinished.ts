/**
 * What becomes of a command that this replica, or others, cannot finish.
 *
 * Owns: the way from "it cannot be finished here" to a verdict, and what follows for this replica. Leaves to others: the rule
 * (`execution/skip-table.ts`), noticing (the machine, a watchdog), files (`storage/unfinished-store.ts`). Called by `execution.ts` with what is
 * delivered and what stands still, and with each tick.
 *
 * A replica that cannot finish a step notes that on its disk, goes no further, and reports the step. The reports lie behind the step in the
 * log, so they are counted as entries are delivered, ahead of execution. Then one of three things happens:
 *
 *   more than half of the voters report it   it is skipped everywhere; whoever had passed it executes again from an older checkpoint
 *   the others go on without it              it is this replica's own fault: the next certified checkpoint carries it over the step
 *   neither                                  it waits: others may be down
 *
 * Invariant P7: who has reported a step has not passed it, and passes it only by its being skipped or by a certified checkpoint. So not both
 * can come about, a skip and a certified checkpoint of others who have passed: each takes more than half, or the half that is left.
 */
import { invariant } from "../base/invariant.js";
import type { Executor } from "../execution/executor.js";
import { ReportTable } from "../execution/report-table.js";
import { auditMembersOf } from "../model/audit.js";
import type { Entry } from "../model/entry.js";
import { noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { isSamePosition, type StepPosition, type Unfinished } from "../model/skip.js";
import type { Clock } from "../ports/clock.js";
import { DiskError } from "../ports/disk.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import type { StepNote, UnfinishedStore } from "../storage/unfinished-store.js";
import { encodeSkipReport } from "../wire/skip-codec.js";

export interface StepsUnfinishedParts {
  readonly self: ReplicaId;
  readonly incarnation: number;
  readonly executor: Executor;
  readonly clock: Clock;
  readonly checkpoints: CheckpointStore;
  readonly unfinished: UnfinishedStore;
  /** A certified checkpoint of this entry or a later one would help. */
  readonly wantCheckpoint: (index: LogIndex) => void;
  /** Asks the leader for a checkpoint: the others may be long without one. */
  readonly askForCheckpoint: () => void;
  readonly dropped: (reason: string, detail: string) => void;
}

export interface Consequences {
  /** What was executed is to be thrown away, and made again. */
  readonly rebuild: () => void;
  readonly broken: (reason: string) => void;
}

/** A report that is not in the order by then was lost on its way. */
const reportAgainMs = 1_000;
/** Who waits for so long for a verdict asks for a checkpoint, and again after as long. */
const waitMs = 10_000;

export class StepsUnfinished {
  readonly #parts: StepsUnfinishedParts;
  readonly #order: (report: Uint8Array) => void;
  readonly #then: Consequences;
  /** As far as entries are delivered. */
  #ahead: ReportTable;
  #waiting: Unfinished | undefined;
  #reportedAt = -Infinity;
  #askedAt = 0;

  /** `order` gets a report into the order: proposes it, or sends it to the leader. */
  constructor(parts: StepsUnfinishedParts, order: (report: Uint8Array) => void, then: Consequences) {
    this.#parts = parts;
    this.#order = order;
    this.#then = then;
    this.#ahead = new ReportTable(parts.executor.reportRules);
    this.restarted();
  }

  /** Execution begins, perhaps once more, with what the executor has now. */
  restarted(): void {
    const { executor, unfinished } = this.#parts;
    this.installed([]);
    for (const { at, reason, what } of unfinished.notes)
      if (at.index > executor.executedIndex) executor.hold({ at, reason }, what !== "held");
  }

  /** Before anything of what is delivered is executed. */
  deliver(entries: readonly Entry[]): void {
    const ahead = this.#ahead;
    for (const entry of entries) {
      for (const skipped of ahead.look(entry, this.#parts.executor.configuration)) {
        // Everything begins again, and is delivered again.
        if (this.#ahead !== ahead) return;
        this.#decided(skipped);
      }
    }
  }

  /** A checkpoint is in the place of what was executed; these wait behind it. */
  installed(waiting: readonly Entry[]): void {
    this.#waiting = undefined;
    this.#ahead = new ReportTable(this.#parts.executor.reportRules);
    this.#ahead.install(this.#parts.executor.reports.encode());
    this.deliver(waiting);
  }

  /** An entry was executed, or was not: look why. */
  look(): void {
    const { executor, clock, dropped } = this.#parts;
    const { unfinished } = executor;
    if (unfinished === undefined) return this.#passed();
    const { at, reason } = unfinished;
    if (this.#waiting !== undefined && isSamePosition(this.#waiting.at, at)) return;
    if (!this.#note({ at, reason, what: "held" })) return;
    this.#waiting = { at, reason };
    this.#reportedAt = -Infinity;
    this.#askedAt = clock.monotonic();
    executor.hold({ at, reason }, false);
    dropped("unfinished command", `step ${at.step} of entry ${at.index} cannot be finished here: ${reason}`);
    this.tick();
  }

  tick(): void {
    const { self, incarnation, executor, clock, wantCheckpoint, askForCheckpoint } = this.#parts;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const now = clock.monotonic();
    wantCheckpoint(waiting.at.index);
    if (now - this.#askedAt >= waitMs) {
      this.#askedAt = now;
      askForCheckpoint();
    }
    const members = auditMembersOf(executor.configuration.membership);
    if (!members.executing.includes(self) || this.#ahead.skips.isReported(waiting.at, self)) return;
    if (now - this.#reportedAt < reportAgainMs) return;
    this.#reportedAt = now;
    this.#order(encodeSkipReport({ replica: self, incarnation, ...waiting, members }));
  }

  #passed(): void {
    const waited = this.#waiting;
    if (waited === undefined) return;
    this.#waiting = undefined;
    const isCovered = waited.at.index <= certifiedIn(this.#parts.checkpoints);
    invariant(
      isCovered || this.#isSkipped(waited.at),
      "P7 whoever has reported a step passes it only by its being skipped, or by a certified checkpoint",
    );
  }

  /** In the state that is here, or is being made. */
  #isSkipped(at: StepPosition): boolean {
    return this.#parts.unfinished.notes.some((note) => note.what !== "held" && isSamePosition(note.at, at));
  }

  #decided(skipped: Unfinished): void {
    const { executor, checkpoints, dropped } = this.#parts;
    const { at, reason } = skipped;
    const isExecuted = at.index <= executor.executedIndex;
    // What is in a certified checkpoint was agreed on by enough others.
    if (isExecuted && (at.index <= certifiedIn(checkpoints) || this.#isSkipped(at))) return;
    if (!this.#note({ at, reason, what: isExecuted ? "passed" : "skipped" })) return;
    dropped("unfinished command", `step ${at.step} of entry ${at.index} is skipped: ${reason}`);
    if (isExecuted) this.#then.rebuild();
    else executor.hold(skipped, true);
  }

  #note(note: StepNote): boolean {
    const { unfinished, checkpoints } = this.#parts;
    try {
      unfinished.note(note, certifiedIn(checkpoints));
      return true;
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
      this.#then.broken(`Cannot note a command that cannot be finished: ${cause.message}`);
      return false;
    }
  }
}

function certifiedIn({ certified }: CheckpointStore): LogIndex {
  return certified?.last.index ?? noIndex;
}
