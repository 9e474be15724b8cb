/**
 * How much was written, and how long each flush took.
 *
 * Owns: the counters behind `LogStatistics`. Called by `wal.ts`, read by metrics.
 */
import type { LogStatistics } from "./log-store.js";

/** Upper bounds in seconds: from what a fast disk takes to what makes a leader step down. */
const syncSecondsBounds: readonly number[] = [
  0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1,
];

export class SyncStatistics {
  readonly #counts = new Array<number>(syncSecondsBounds.length + 1).fill(0);
  #sum = 0;
  #writes = 0;
  #syncs = 0;
  #bytes = 0;

  countWrite(): void {
    this.#writes += 1;
  }

  countSync(bytes: number, seconds: number): void {
    this.#syncs += 1;
    this.#bytes += bytes;
    this.#sum += seconds;
    const bound = syncSecondsBounds.findIndex((upper) => seconds <= upper);
    const at = bound < 0 ? syncSecondsBounds.length : bound;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  snapshot(): LogStatistics {
    let total = 0;
    const counts = this.#counts.map((count) => (total += count));
    const syncSeconds = { bounds: syncSecondsBounds, counts, sum: this.#sum };
    return { writes: this.#writes, syncs: this.#syncs, bytesWritten: this.#bytes, syncSeconds };
  }
}
