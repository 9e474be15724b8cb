/**
 * What a PBFT replica must remember, in its log: one record an entry, in the order in which they were made.
 *
 * Owns: the form of an entry, and giving back what a shorter list says as well. Leaves to others: records (`consensus/bft/state.ts`), bytes on
 * disk (`storage/`). Called by `bft-driver.ts`. An entry's index counts records and is no position of the order.
 *
 *   entry  u8 0: a record (`wire/bft-codec.ts`), as it was made
 *          u8 1: a record of a shorter list
 *          u8 2, index varint: the shorter list is complete, and begins at this index; what is before it counts no more
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { BftRecord } from "../consensus/bft/state.js";
import type { Entry } from "../model/entry.js";
import { after, noTerm, type LogIndex } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";
import type { LogStore, RecoveredLog, StorageFailure } from "../storage/log-store.js";
import { decodeBftRecord, encodeBftRecord, type BftLimits } from "../wire/bft-codec.js";

const made = 0;
const listed = 1;
const complete = 2;

export interface BftJournalParts {
  readonly log: Pick<LogStore, "write" | "compact">;
  readonly recovered: Pick<RecoveredLog, "lastIndex">;
  /** A shorter list is not worth its writing before so much was written. */
  readonly writtenBytesMin: number;
}

/**
 * Of everything that was written before, in its order; a sentence if some of it cannot be read: this replica may have forgotten what it
 * promised. `recovered.tail` holds the whole log.
 */
export function readJournal(
  { start, lastIndex, tail, damaged }: RecoveredLog,
  limits: BftLimits,
  hash: Hash,
): readonly BftRecord[] | string {
  if (tail.some(({ kind }) => kind !== "record")) return "its log was written under crash faults";
  const [firstDamaged] = damaged;
  if (firstDamaged !== undefined) return `record ${firstDamaged.index} of its log is damaged`;
  if (tail.length !== lastIndex - start.index) return "a part of its log cannot be read";
  const at = tail.findLastIndex(({ payload }) => payload[0] === complete);
  const records: BftRecord[] = [];
  for (const [place, { payload, index }] of tail.entries()) {
    if (payload[0] !== (place < at ? listed : made) || index < firstOf(tail[at])) continue;
    // Records keep views of what they were read from.
    const record = decodeBftRecord(payload.slice(1), { ...limits, replicaCount: undefined }, hash);
    if (record === undefined) return `record ${index} of its log is of no form that this version knows`;
    records.push(record);
  }
  return records;
}

function firstOf(entry: Entry | undefined): number {
  const reader = new ByteReader(entry?.payload.subarray(1) ?? new Uint8Array(1));
  return reader.varint();
}

export class BftJournal {
  readonly #log: BftJournalParts["log"];
  readonly #writtenBytesMin: number;
  #index: LogIndex;
  #writes = 0;
  #bytes = 0;
  /** Of the last shorter list. */
  #listedBytes = 0;

  constructor({ log, recovered, writtenBytesMin }: BftJournalParts) {
    this.#log = log;
    this.#writtenBytesMin = writtenBytesMin;
    this.#index = recovered.lastIndex;
  }

  get lastIndex(): LogIndex {
    return this.#index;
  }

  /** `done` comes in the order of the calls, and without a failure once these and all before them are durable. */
  write(records: readonly BftRecord[], done: (failure: StorageFailure | undefined) => void): void {
    this.#append(
      records.map((record) => this.#entryOf(made, encodeBftRecord(record))),
      done,
    );
  }

  /** There is enough to give back. */
  get isLong(): boolean {
    return this.#bytes > Math.max(this.#writtenBytesMin, 4 * this.#listedBytes);
  }

  /** These say the same as everything that was written: what is before them is given back. */
  shorten(records: readonly BftRecord[], failed: (failure: StorageFailure) => void): void {
    const last = this.#index;
    this.#bytes = 0;
    const entries = records.map((record) => this.#entryOf(listed, encodeBftRecord(record)));
    this.#listedBytes = this.#bytes;
    const first = new ByteWriter(9);
    first.varint(after(last));
    entries.push(this.#entryOf(complete, first.finish()));
    this.#append(entries, (failure) => {
      if (failure === undefined) this.#log.compact(last);
      else failed(failure);
    });
  }

  #append(entries: readonly Entry[], done: (failure: StorageFailure | undefined) => void): void {
    this.#writes += 1;
    this.#log.write({ id: this.#writes, hardState: undefined, truncateFrom: undefined, entries }, done);
  }

  #entryOf(form: number, bytes: Uint8Array): Entry {
    const payload = new Uint8Array(1 + bytes.length);
    payload[0] = form;
    payload.set(bytes, 1);
    this.#index = after(this.#index);
    this.#bytes += payload.length;
    return { index: this.#index, term: noTerm, kind: "record", time: 0, payload };
  }
}
