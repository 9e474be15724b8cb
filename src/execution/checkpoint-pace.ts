/**
 * After which entries a checkpoint is taken: the same on every replica.
 *
 * Owns: the rule. It counts from the entry of the last checkpoint on, so whoever starts from a checkpoint counts as those do who have
 * executed everything. A large state waits for more log, since writing it costs more: a quarter of what the last certified checkpoint
 * took. Called by the executor.
 */
import type { CheckpointLimits } from "../api/config.js";
import { entryBytes, type Entry } from "../model/entry.js";

export class CheckpointPace {
  readonly #limits: CheckpointLimits;
  #entries = 0;
  #bytes = 0;
  #isDue = false;

  constructor(limits: CheckpointLimits) {
    this.#limits = limits;
  }

  /** The entry that was counted last is such a one. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** `stateBytes`: of the last certified checkpoint. `hasStarted`: a version has, and whoever starts behind it needs the one before no more. */
  count(entry: Entry, stateBytes: number, hasStarted: boolean): void {
    if (this.#isDue) this.restart();
    this.#entries += 1;
    this.#bytes += entryBytes(entry);
    const { logEntriesMax, logBytesMax } = this.#limits;
    const isLong = this.#entries >= logEntriesMax || this.#bytes >= Math.max(logBytesMax, stateBytes / 4);
    this.#isDue = isLong || hasStarted || entry.kind === "checkpoint";
  }

  restart(): void {
    this.#entries = 0;
    this.#bytes = 0;
    this.#isDue = false;
  }
}
