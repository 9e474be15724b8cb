/**
 * The decided entries of one replica on their way through the executor.
 *
 * Owns: the queue before it, the slices of one turn, the positions at which checkpoints are taken, putting a fetched checkpoint in the
 * place of what is missing, in slices as well (until the last of them everything goes on over the older state), and executing everything
 * again when what was executed turns out to be wrong. Leaves to others: what an entry means (`execution/`), who is answered (`replica/host.ts`).
 */
import type { ExecutionLimits } from "../api/config.js";
import type { Steps } from "../base/steps.js";
import type { Executed, Executor } from "../execution/executor.js";
import type { Checkpoint } from "../model/checkpoint.js";
import { entryBytes, type Entry } from "../model/entry.js";
import { maxIndex, noIndex, type LogIndex } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import type { Auditor } from "./auditor.js";
import type { ToEngine } from "./channel.js";
import type { Checkpointer } from "./checkpointer.js";
import { loadCheckpoint } from "./load-checkpoint.js";
import type { StepsUnfinished } from "./unfinished.js";

export interface ExecutionParts {
  readonly executor: Executor;
  readonly execution: ExecutionLimits;
  readonly checkpoints: CheckpointStore;
  readonly checkpointer: Checkpointer;
  readonly clock: Clock;
  readonly auditor: Auditor;
  readonly unfinished: StepsUnfinished;
  readonly toEngine: (message: ToEngine) => void;
  /** Asks for another turn, soon. */
  readonly again: () => void;
  /** One request of an entry has its answer. */
  readonly executed: (entry: Entry, each: Executed) => void;
  /** The entry is executed, and all of its requests are answered. */
  readonly passed: (entry: Entry) => void;
  readonly broken: (reason: string) => void;
}

/** A slice of installing ends after this, or after so many steps: other work goes first. */
const sliceMs = 2;
const sliceSteps = 4;

interface Installing {
  readonly checkpoint: Checkpoint;
  readonly steps: Steps<string | undefined>;
}

export class Execution {
  readonly #parts: ExecutionParts;
  #committed: Entry[] = [];
  #index: LogIndex;
  #installing: Installing | undefined;
  /** Counts how often entries were asked for again. */
  #rewinds = 0;
  /** Where it begins again is not told to the engine yet. */
  #mustRewind = false;
  /** What comes until the engine has gone back is of before. */
  #isRewinding = false;
  /** It stands still: what comes was looked at, and is not kept. */
  #isLookingAhead = false;
  #rebuiltFrom: LogIndex | undefined;
  #isStopped = false;

  constructor(parts: ExecutionParts) {
    this.#parts = parts;
    this.#index = parts.executor.executedIndex;
  }

  /** Everything up to here is executed. */
  get index(): LogIndex {
    return this.#index;
  }

  /** Everything up to here is executed, or is being put in its place. */
  get coming(): LogIndex {
    return maxIndex(this.#index, this.#installing?.checkpoint.last.index ?? noIndex);
  }

  /** The checkpoint with which it began again last; 0: with the first entry. */
  get rebuiltFrom(): LogIndex | undefined {
    return this.#rebuiltFrom;
  }

  /** What an installed checkpoint covers may still come: it was on its way. */
  add(entries: readonly Entry[]): void {
    if (this.#mustRewind || this.#isRewinding) return;
    const coming = entries.filter(({ index }) => index > this.#index);
    for (const entry of coming) this.#committed.push(entry);
    this.#parts.unfinished.deliver(coming);
  }

  /** As much as one turn may take; the rest follows in the next. */
  run(): void {
    const { executor, execution, checkpointer, auditor, unfinished, toEngine, again } = this.#parts;
    if (this.#isStopped) return;
    if (executor.isHeldBack) return this.#lookAhead();
    if (this.#isLookingAhead) return this.#rewind();
    const { executed, passed, broken } = this.#parts;
    let requests = execution.requestsPerTurnMax;
    let bytes = execution.bytesPerTurnMax;
    let done = 0;
    for (const entry of this.#committed) {
      if (requests <= 0 || bytes <= 0) break;
      const answers = executor.execute(entry);
      if (executor.broken !== undefined) return broken(executor.broken);
      unfinished.look();
      if (executor.unfinished !== undefined) break;
      if (executor.isCheckpointDue) checkpointer.take(entry);
      auditor.look(entry.index);
      for (const each of answers) executed(entry, each);
      passed(entry);
      this.#index = entry.index;
      requests -= answers.length + 1;
      bytes -= entry.payload.length;
      done += 1;
    }
    if (done > 0) {
      this.#committed = done === this.#committed.length ? [] : this.#committed.slice(done);
      toEngine({ kind: "appliedUpTo", index: this.#index });
      if (this.#committed.length > 0 && !executor.isHeldBack) again();
    }
    if (executor.isHeldBack) this.#lookAhead();
  }

  /**
   * The reports that say what becomes of the step lie behind it, perhaps behind more than may be on its way here: then nothing of it is kept, so that
   * more comes, to be looked at. All of it comes again once execution goes on.
   */
  #lookAhead(): void {
    const { execution, toEngine } = this.#parts;
    const last = this.#committed.at(-1);
    const bytes = this.#committed.reduce((sum, entry) => sum + entryBytes(entry), 0);
    if (last === undefined || (!this.#isLookingAhead && bytes < execution.deliveredBytesMax)) return;
    this.#isLookingAhead = true;
    this.#committed = [];
    toEngine({ kind: "letGo", index: last.index });
  }

  /**
   * This checkpoint was fetched and is durable: its state takes the place of an older one, and what was delivered behind it goes on from there.
   */
  install(checkpoint: Checkpoint): void {
    if (this.#isStopped) return;
    const { executor, checkpoints } = this.#parts;
    const installing = { checkpoint, steps: loadCheckpoint(executor, checkpoints, checkpoint) };
    this.#installing = installing;
    this.#installOn(installing);
  }

  /**
   * Nothing of what was executed is kept: it begins again with the checkpoint of this disk that others vouch for. If that is damaged, or
   * there is none, with the first entry; if the log does not reach back so far, the engine asks for a peer's checkpoint.
   */
  rebuild(): void {
    const { executor, checkpoints, unfinished } = this.#parts;
    executor.restart();
    unfinished.restarted();
    this.#index = noIndex;
    this.#committed = [];
    this.#installing = undefined;
    this.#isLookingAhead = false;
    this.#mustRewind = true;
    this.#rebuiltFrom = undefined;
    checkpoints.keepCertified();
    const { certified } = checkpoints;
    if (certified === undefined) this.#rewind();
    else this.install(certified);
  }

  /** The engine has gone back. */
  rewound(id: number): void {
    if (id === this.#rewinds) this.#isRewinding = false;
  }

  /** Nothing is executed or installed from now on. */
  stop(): void {
    this.#isStopped = true;
    this.#installing = undefined;
  }

  #installOn(installing: Installing): void {
    if (this.#installing !== installing) return;
    const { last } = installing.checkpoint;
    const { clock, broken } = this.#parts;
    // What was missing may have come in the log meanwhile.
    if (last.index <= this.#index) return this.#installed(installing.checkpoint);
    const end = clock.monotonic() + sliceMs;
    for (let step = 0; step < sliceSteps && clock.monotonic() < end; step += 1) {
      const { done, value: objection } = installing.steps.next();
      if (done !== true) continue;
      if (objection !== undefined) return this.#mustRewind ? this.#rebuildWithout() : broken(objection);
      if (this.#index === noIndex && this.#rebuiltFrom !== undefined) this.#rebuiltFrom = last.index;
      this.#index = last.index;
      this.#committed = this.#committed.filter(({ index }) => index > last.index);
      this.#parts.unfinished.installed(this.#committed);
      return this.#installed(installing.checkpoint);
    }
    clock.nextTurn(() => this.#installOn(installing));
  }

  /** The checkpoint cannot be read. */
  #rebuildWithout(): void {
    this.#parts.executor.restart();
    this.#parts.unfinished.restarted();
    this.#installing = undefined;
    this.#rewind();
  }

  #rewind(): void {
    if (this.#mustRewind) this.#rebuiltFrom = this.#index;
    this.#committed = [];
    this.#rewinds += 1;
    this.#mustRewind = false;
    this.#isLookingAhead = false;
    this.#isRewinding = true;
    this.#parts.toEngine({ kind: "rewind", id: this.#rewinds, to: this.#index });
    this.#parts.again();
  }

  #installed({ last, time }: Checkpoint): void {
    const { executor, toEngine, again } = this.#parts;
    this.#installing = undefined;
    if (this.#mustRewind || this.#isLookingAhead) this.#rewind();
    toEngine({ kind: "installed", last, time, configuration: executor.configuration });
    again();
  }
}
