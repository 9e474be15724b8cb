/**
 * Makes one run of bytes of the records that go to the disk together.
 *
 * Owns: which records fit, the order of a truncation, a table and the entries of a write. Leaves to others: what a record
 * looks like (`wal-chain.ts`), the write itself (`wal.ts`). Payloads are copied, so their owner may do with them as it likes.
 */
import { invariant } from "../base/invariant.js";
import { shortLivedBytes } from "../base/slab.js";
import type { LogIndex } from "../model/ids.js";
import { before, minIndex } from "../model/ids.js";
import type { LogWrite } from "../model/log.js";
import type { LogChain, NewRecord } from "./wal-chain.js";
import { recordBytes } from "./wal-format.js";

/** Room for a truncation or a marker besides the entries; a table of identities, once in many records, makes the buffer grow. */
const slackBytes = recordBytes(0);

/** A write of which some records may already have gone out: it may span two segments. */
export interface WaitingWrite {
  readonly write: LogWrite;
  /** Entries that have gone out. */
  taken: number;
  truncated: boolean;
}

export interface GroupLimits {
  /** Of the group's first byte. */
  readonly position: number;
  /** Expected length; the buffer grows if a table makes it longer. */
  readonly capacity: number;
  /** What is left of the segment. */
  readonly bytesMax: number;
  /** A group that has a record grows no further than this. */
  readonly groupBytesMax: number;
  readonly syncedUpTo: number;
  readonly hardStateSequence: number;
  onTruncation(last: LogIndex): void;
  onReset(): void;
}

/** Bytes that the entries of a write take on disk. */
export function encodedBytes(write: LogWrite): number {
  let sum = 0;
  for (const entry of write.entries) sum += recordBytes(entry.payload.length);
  return sum;
}

export class GroupEncoder {
  readonly #chain: LogChain;
  readonly #limits: GroupLimits;
  #buffer: Uint8Array;
  #length = 0;

  constructor(chain: LogChain, limits: GroupLimits) {
    this.#chain = chain;
    this.#limits = limits;
    this.#buffer = shortLivedBytes(Math.min(limits.capacity + slackBytes, limits.groupBytesMax, limits.bytesMax));
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Adds what is left of a write; false if something of it did not fit. */
  addWrite(waiting: WaitingWrite): boolean {
    const { resetTo, truncateFrom, entries } = waiting.write;
    if (!waiting.truncated && resetTo !== undefined) {
      if (!this.add(this.#chain.reset(resetTo))) return false;
      this.#limits.onReset();
    } else if (!waiting.truncated && truncateFrom !== undefined && truncateFrom <= this.#chain.lastIndex) {
      if (!this.#addTruncation(before(truncateFrom))) return false;
    }
    waiting.truncated = true;
    while (waiting.taken < entries.length) {
      const entry = entries[waiting.taken];
      invariant(entry !== undefined, "a write's entries are counted");
      // An append over entries that a failed write left behind replaces them, whether it says so or not.
      const replaces = entry.index <= this.#chain.lastIndex;
      if (replaces && !this.#addTruncation(before(entry.index))) return false;
      if (!this.#addWithTable(this.#chain.entry(entry))) return false;
      waiting.taken += 1;
    }
    return true;
  }

  /** Adds one record; false if it does not fit. */
  add(record: NewRecord): boolean {
    const bytes = recordBytes(record.body.length);
    const end = this.#length + bytes;
    if (end > this.#limits.bytesMax) return false;
    if (this.#length > 0 && end > this.#limits.groupBytesMax) return false;
    this.#reserve(end);
    const { position, syncedUpTo, hardStateSequence } = this.#limits;
    this.#chain.append(record, this.#buffer, this.#length, {
      position: position + this.#length,
      syncedUpTo,
      hardStateSequence,
    });
    this.#length = end;
    return true;
  }

  #addTruncation(last: LogIndex): boolean {
    if (!this.add(this.#chain.truncation(last))) return false;
    this.#limits.onTruncation(minIndex(last, this.#chain.lastIndex));
    return true;
  }

  #addWithTable(record: NewRecord): boolean {
    if (this.#chain.tableIsDue && !this.add(this.#chain.table())) return false;
    return this.add(record);
  }

  #reserve(length: number): void {
    if (length <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(length, Math.min(2 * this.#buffer.length, this.#limits.bytesMax)));
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
