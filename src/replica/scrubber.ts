/**
 * Looks at the whole replicated state again and again, as it lies in memory, and at the chunks of checkpoints on the disk.
 *
 * Owns: the pace: a cycle of a second at most while there are few things, a steady rate when there are more, and never more than 2 % of a
 * core for both: a slice is followed by a rest that is long enough. Leaves to others: what is looked at, and what becomes of damage
 * (`execution/`, `stored-chunks.ts`). Called by `auditor.ts` with every tick.
 */
import type { ScrubStatus } from "../api/replica.js";
import type { Steps } from "../base/steps.js";
import type { Executor } from "../execution/executor.js";
import type { Clock } from "../ports/clock.js";
import { StoredChunks, type StoredChunksParts } from "./stored-chunks.js";

export interface ScrubberParts extends StoredChunksParts {
  readonly executor: Pick<Executor, "scrubbing">;
  readonly clock: Clock;
  /** A new cycle begins no sooner after the last did, in milliseconds; 900 by default. */
  readonly scrubCycleMs?: number | undefined;
}

/** A step looks at eight entries at most. */
const stepsPerMs = 5;
/** A slice is not longer, whatever was missed. */
const sliceMsMax = 1;
const missedMsMax = 50;
/** For each millisecond of work. */
const restFactor = 49;
/** Work that seems to have taken longer was held up: it looks at the time after each step. */
const workMsMax = 5;
/** With its own time no flipped bit waits for longer than a second. */
const usualCycleMs = 900;

export class Scrubber {
  readonly #parts: ScrubberParts;
  readonly #chunks: StoredChunks;
  readonly #cycleMsMin: number;
  #steps: Steps<readonly string[]> | undefined;
  #isChunksTurn = false;
  #begunAt = -Infinity;
  #slicedAt: number;
  #restUntil = -Infinity;
  #cycles = 0;
  #cycleMs = 0;
  #mismatches = 0;
  #damaged: readonly string[] = [];

  constructor(parts: ScrubberParts) {
    this.#parts = parts;
    this.#chunks = new StoredChunks(parts);
    this.#cycleMsMin = parts.scrubCycleMs ?? usualCycleMs;
    this.#slicedAt = parts.clock.monotonic();
  }

  get statistics(): ScrubStatus {
    return {
      cycles: this.#cycles,
      cycleMs: this.#cycleMs,
      mismatches: this.#mismatches,
      damaged: this.#damaged,
      chunkCycles: this.#chunks.statistics.cycles,
      chunksDamaged: this.#chunks.statistics.damaged,
    };
  }

  tick(): void {
    const now = this.#parts.clock.monotonic();
    if (now < this.#restUntil) return;
    this.#isChunksTurn = !this.#isChunksTurn;
    if (this.#isChunksTurn && this.#chunks.isDue(now)) this.#chunks.look(now, (work) => this.#work(work));
    else this.#work(() => this.#lookAtMemory(now));
  }

  #lookAtMemory(now: number): void {
    if (this.#steps === undefined) {
      if (now < this.#begunAt + this.#cycleMsMin) return;
      this.#begunAt = now;
      this.#slicedAt = now;
      this.#steps = this.#parts.executor.scrubbing();
    }
    const count = Math.ceil(Math.min(Math.max(now - this.#slicedAt, 1), missedMsMax) * stepsPerMs);
    this.#slicedAt = now;
    this.#slice(this.#steps, count, now + sliceMsMax);
  }

  /** It is followed by a rest. */
  #work(work: () => void): void {
    const { clock } = this.#parts;
    const from = clock.monotonic();
    work();
    const to = clock.monotonic();
    this.#restUntil = Math.max(this.#restUntil, to + Math.min(to - from, workMsMax) * restFactor);
  }

  #slice(steps: Steps<readonly string[]>, count: number, end: number): void {
    const { clock } = this.#parts;
    for (let left = count; left > 0; left -= 1) {
      const { done, value: damaged } = steps.next();
      if (done === true) return this.#end(damaged);
      if (clock.monotonic() >= end) return;
    }
  }

  #end(damaged: readonly string[]): void {
    this.#steps = undefined;
    this.#cycles += 1;
    this.#cycleMs = this.#parts.clock.monotonic() - this.#begunAt;
    this.#mismatches += damaged.length;
    if (damaged.length > 0) this.#damaged = damaged;
  }
}
