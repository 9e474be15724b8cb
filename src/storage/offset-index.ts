/**
 * Where in the log an entry is to be looked for: a point every so often, the rest by reading on from there.
 *
 * Owns: the points. Leaves to others: reading (`wal-reader.ts`). Memory: two numbers per 64 entries or 64 KiB, whichever comes
 * first. Invariant W9: both indexes and positions grow from point to point, so the records between two points hold the
 * entries between their indexes, and nothing that was dropped later is met before the next point.
 */
import { invariant } from "../base/invariant.js";
import { after, type LogIndex } from "../model/ids.js";

const entriesPerPoint = 64;
const bytesPerPoint = 64 * 1024;

export interface OffsetSpan {
  readonly position: number;
  /** The index of the entry at `position`. */
  readonly first: LogIndex;
  /** Entries from here on are found from the next point; undefined behind the last one. */
  readonly end: LogIndex | undefined;
}

export class OffsetIndex {
  readonly #indexes: LogIndex[] = [];
  readonly #positions: number[] = [];
  #entries = 0;
  #bytes = 0;

  get pointCount(): number {
    return this.#indexes.length;
  }

  /** The entry at `index` begins at `position` and takes `bytes`. `startsRun`: it does not simply follow the one before. */
  note(entry: {
    readonly index: LogIndex;
    readonly position: number;
    readonly bytes: number;
    readonly startsRun: boolean;
  }): void {
    if (entry.startsRun || this.#entries >= entriesPerPoint || this.#bytes >= bytesPerPoint || this.pointCount === 0) {
      invariant(entry.index > (this.#indexes.at(-1) ?? 0), "W9 indexes grow from point to point");
      invariant(entry.position > (this.#positions.at(-1) ?? -1), "W9 positions grow from point to point");
      this.#indexes.push(entry.index);
      this.#positions.push(entry.position);
      this.#entries = 0;
      this.#bytes = 0;
    }
    this.#entries += 1;
    this.#bytes += entry.bytes;
  }

  /** Entries from `index` on are gone; whatever is noted next must start a run. */
  dropFrom(index: LogIndex): void {
    while ((this.#indexes.at(-1) ?? 0) >= index && this.pointCount > 0) {
      this.#indexes.pop();
      this.#positions.pop();
    }
  }

  /** Entries up to `index` are no longer asked for. */
  dropUpTo(index: LogIndex): void {
    let gone = 0;
    while (gone + 1 < this.pointCount && (this.#indexes[gone + 1] ?? 0) <= after(index)) gone += 1;
    this.#indexes.splice(0, gone);
    this.#positions.splice(0, gone);
  }

  /** Where to begin looking for `index`; undefined if nothing that early is known. */
  find(index: LogIndex): OffsetSpan | undefined {
    let low = 0;
    let high = this.pointCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#indexes[middle] ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    const first = this.#indexes[low - 1];
    const position = this.#positions[low - 1];
    if (first === undefined || position === undefined) return undefined;
    return { position, first, end: this.#indexes[low] };
  }
}
