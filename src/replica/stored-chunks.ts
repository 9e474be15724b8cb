/**
 * Looks at the checkpoints on this disk again and again: a bit that flips there would be found when it is too late, by a replica that
 * begins with them.
 *
 * Owns: which file is next, and what becomes of a damaged chunk: a checkpoint is taken anew, whose chunks are written again where they
 * are not whole, and which takes the place of the older one once it is certified. A damaged manifest or certificate is written again at once, from
 * memory. Leaves to others: the pace (`scrubber.ts`), files
 * (`storage/checkpoint-store.ts`). What the system's cache still holds is read from there, and the disk is not asked.
 */
import { hexOf } from "../base/bytes.js";
import type { ChunkName } from "../model/checkpoint.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";

export interface StoredChunksParts {
  readonly checkpoints: CheckpointStore;
  /** Asks the leader for a checkpoint. */
  readonly askForCheckpoint: () => void;
  readonly dropped: (reason: string, detail: string) => void;
}

/** A new cycle begins no sooner after the last did. */
const cycleMsMin = 500;
/** A checkpoint was asked for: it may come to nothing, and a disk that goes on failing must not keep everybody busy. */
const askAgainMs = 60_000;

export class StoredChunks {
  readonly #parts: StoredChunksParts;
  #left: (ChunkName | string)[] = [];
  #begunAt = -Infinity;
  #isReading = false;
  #cycles = 0;
  #damaged = 0;
  #askAt = -Infinity;

  constructor(parts: StoredChunksParts) {
    this.#parts = parts;
  }

  /** Since process start. */
  get statistics(): { readonly cycles: number; readonly damaged: number } {
    return { cycles: this.#cycles, damaged: this.#damaged };
  }

  isDue(now: number): boolean {
    return !this.#isReading && (this.#left.length > 0 || now >= this.#begunAt + cycleMsMin);
  }

  /** At one of them; `looked` is called, perhaps later, to have its time taken. */
  look(now: number, looked: (work: () => void) => void): void {
    const { checkpoints } = this.#parts;
    this.#repair(now);
    if (this.#left.length === 0) {
      this.#begunAt = now;
      // Of one that is known to be damaged nothing new can be said.
      this.#left = [...checkpoints.records, ...checkpoints.named.filter((chunk) => checkpoints.has(chunk))];
    }
    const next = this.#left.pop();
    if (next === undefined) return;
    this.#isReading = true;
    if (typeof next === "string") {
      return checkpoints.lookAtRecord(next, (isWhole) => {
        this.#ended();
        if (!isWhole) this.#tell(`${next} of the checkpoints on this disk was not what it was, and is written again`);
      });
    }
    checkpoints.look(next, (isWhole) => {
      this.#ended();
      looked(() => {
        if (!isWhole()) this.#found(next);
      });
    });
  }

  #ended(): void {
    this.#isReading = false;
    if (this.#left.length === 0) this.#cycles += 1;
  }

  /** One that no checkpoint names any more was removed meanwhile. */
  #found(chunk: ChunkName): void {
    const { checkpoints } = this.#parts;
    const hex = hexOf(chunk.hash);
    if (!checkpoints.named.some(({ hash }) => hexOf(hash) === hex)) return;
    this.#tell(`chunk ${hex} of a checkpoint on this disk is not what it was`);
  }

  #tell(detail: string): void {
    this.#damaged += 1;
    this.#parts.dropped("damaged chunk", detail);
  }

  #repair(now: number): void {
    const { checkpoints, askForCheckpoint } = this.#parts;
    if (now < this.#askAt || !checkpoints.isDamaged) return;
    this.#askAt = now + askAgainMs;
    askForCheckpoint();
  }
}
