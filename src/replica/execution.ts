/**
 * The decided entries of one replica on their way through the executor.
 *
 * Owns: the queue before it, the slices of one turn, the positions at which checkpoints are taken, and putting a fetched checkpoint in the
 * place of what is missing. Leaves to others: what an entry means (`execution/`), who is answered (`replica/host.ts`).
 */
import type { ExecutionLimits } from "../api/config.js";
import type { Executed, Executor } from "../execution/executor.js";
import type { Checkpoint } from "../model/checkpoint.js";
import type { Entry } from "../model/entry.js";
import type { LogIndex } from "../model/ids.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import type { ToEngine } from "./channel.js";
import type { Checkpointer } from "./checkpointer.js";
import { loadCheckpoint } from "./load-checkpoint.js";

export interface ExecutionParts {
  readonly executor: Executor;
  readonly execution: ExecutionLimits;
  readonly checkpoints: CheckpointStore;
  readonly checkpointer: Checkpointer;
  readonly toEngine: (message: ToEngine) => void;
  /** Asks for another turn, soon. */
  readonly again: () => void;
  /** One request of an entry has its answer. */
  readonly executed: (entry: Entry, each: Executed) => void;
  /** The entry is executed, and all of its requests are answered. */
  readonly passed: (entry: Entry) => void;
  readonly broken: (reason: string) => void;
}

export class Execution {
  readonly #parts: ExecutionParts;
  #committed: Entry[] = [];
  #index: LogIndex;

  constructor(parts: ExecutionParts) {
    this.#parts = parts;
    this.#index = parts.executor.executedIndex;
  }

  /** Everything up to here is executed. */
  get index(): LogIndex {
    return this.#index;
  }

  /** What an installed checkpoint covers may still come: it was on its way. */
  add(entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.index > this.#index) this.#committed.push(entry);
  }

  /** As much as one turn may take; the rest follows in the next. */
  run(): void {
    const { executor, execution, checkpointer, toEngine, again, executed, passed, broken } = this.#parts;
    let requests = execution.requestsPerTurnMax;
    let bytes = execution.bytesPerTurnMax;
    let done = 0;
    for (const entry of this.#committed) {
      if (requests <= 0 || bytes <= 0) break;
      const answers = executor.execute(entry);
      if (executor.broken !== undefined) return broken(executor.broken);
      if (executor.isCheckpointDue) checkpointer.take(entry);
      for (const each of answers) executed(entry, each);
      passed(entry);
      this.#index = entry.index;
      requests -= answers.length + 1;
      bytes -= entry.payload.length;
      done += 1;
    }
    if (done === 0) return;
    this.#committed = done === this.#committed.length ? [] : this.#committed.slice(done);
    toEngine({ kind: "appliedUpTo", index: this.#index });
    if (this.#committed.length > 0) again();
  }

  /** What was delivered behind the checkpoint goes on from there. */
  install(checkpoint: Checkpoint): void {
    const { executor, checkpoints, toEngine, again, broken } = this.#parts;
    const { last, time } = checkpoint;
    if (last.index > this.#index) {
      const objection = loadCheckpoint(executor, checkpoints, checkpoint);
      if (objection !== undefined) return broken(objection);
      this.#index = last.index;
      this.#committed = this.#committed.filter(({ index }) => index > last.index);
    }
    toEngine({ kind: "installed", last, time, configuration: executor.configuration });
    again();
  }
}
