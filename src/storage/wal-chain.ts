/**
 * The end of the log as its next record needs to know it, and the encoding of records that continue it.
 *
 * Owns: ordinals, the chain, when a table of identities is due, and a group of records as one run of bytes. Leaves to others:
 * files and completions (`wal.ts`). Invariant W3: within a log, ordinals and positions grow, and an entry's index is that of
 * the last entry plus one.
 */
import { invariant } from "../base/invariant.js";
import type { Entry, EntryId } from "../model/entry.js";
import { after, noIndex, type LogIndex, type Term } from "../model/ids.js";
import type { OffsetIndex } from "./offset-index.js";
import type { FormatContext, RecordHeader, RecordIdentity, RecordKind } from "./wal-format.js";
import {
  bodyChecksum,
  changesLog,
  encodeIdentities,
  encodeRecordHeader,
  isEntryKind,
  recordBytes,
  recordHeaderBytes,
} from "./wal-format.js";

/** A table names this many records, and the next one comes after half as many: so each record is named twice, far apart. */
export const identitiesPerTable = 128;
const recordsBetweenTables = identitiesPerTable / 2;

export interface NewRecord {
  readonly kind: RecordKind;
  readonly index: LogIndex;
  readonly term: Term;
  readonly time: number;
  readonly body: Uint8Array;
}

/** Where the log ends. */
export interface LogEnd {
  /** Of the last record of any kind; 0 if there is none. */
  readonly lastPosition: number;
  /** The last record that changed the log. */
  readonly previous: RecordIdentity;
  readonly lastIndex: LogIndex;
  /** The newest identities, oldest first, at most `identitiesPerTable`. */
  readonly recent: readonly RecordIdentity[];
}

const emptyBody = new Uint8Array(0);

export class LogChain {
  readonly #context: FormatContext;
  readonly #offsets: OffsetIndex;
  #lastPosition: number;
  #previous: RecordIdentity;
  #lastIndex: LogIndex;
  /** The newest are the last. Twice as many as are named at most, since to drop one from the front moves all others. */
  readonly #recent: RecordIdentity[];
  #sinceTable = 0;
  #startsRun = true;

  constructor(context: FormatContext, offsets: OffsetIndex, end: LogEnd) {
    this.#context = context;
    this.#offsets = offsets;
    this.#lastPosition = end.lastPosition;
    this.#previous = end.previous;
    this.#lastIndex = end.lastIndex;
    this.#recent = [...end.recent];
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  /** What the next record will call the one before it. */
  get end(): Omit<LogEnd, "recent" | "lastIndex"> {
    return { lastPosition: this.#lastPosition, previous: this.#previous };
  }

  /** Of the last record that changed the log. */
  get ordinal(): number {
    return this.#previous.ordinal;
  }

  /** Whether a table of identities should go before the next record. */
  get tableIsDue(): boolean {
    return this.#sinceTable >= recordsBetweenTables;
  }

  entry(entry: Entry): NewRecord {
    return { kind: entry.kind, index: entry.index, term: entry.term, time: entry.time, body: entry.payload };
  }

  /** Drops every entry behind `last`. */
  truncation(last: LogIndex): NewRecord {
    return { kind: "truncate", index: last, term: this.#previous.term, time: 0, body: emptyBody };
  }

  /** Drops every entry; the next one follows `last`. */
  reset({ index, term }: EntryId): NewRecord {
    return { kind: "reset", index, term, time: 0, body: emptyBody };
  }

  marker(): NewRecord {
    return { kind: "marker", index: this.#lastIndex, term: this.#previous.term, time: 0, body: emptyBody };
  }

  table(): NewRecord {
    return { ...this.marker(), kind: "identities", body: encodeIdentities(this.#recent.slice(-identitiesPerTable)) };
  }

  /** Writes one record to `bytes` at `at`; `claims` are what it says about the rest of the disk. */
  append(
    record: NewRecord,
    bytes: Uint8Array,
    at: number,
    claims: { readonly position: number; readonly syncedUpTo: number; readonly hardStateSequence: number },
  ): void {
    const identity: RecordIdentity = {
      ordinal: this.#previous.ordinal + (changesLog(record.kind) ? 1 : 0),
      position: claims.position,
      kind: record.kind,
      index: record.index,
      term: record.term,
      bodyBytes: record.body.length,
      bodyChecksum: bodyChecksum(this.#context.hash, record, record.body),
    };
    // Field by field: this runs for every record, and a spread of the identity costs several times as much.
    const header: RecordHeader = {
      ordinal: identity.ordinal,
      position: identity.position,
      kind: identity.kind,
      index: identity.index,
      term: identity.term,
      bodyBytes: identity.bodyBytes,
      bodyChecksum: identity.bodyChecksum,
      time: record.time,
      previousPosition: this.#lastPosition,
      syncedUpTo: claims.syncedUpTo,
      hardStateSequence: claims.hardStateSequence,
      previous: this.#previous,
    };
    encodeRecordHeader(bytes, at, header, this.#context);
    bytes.set(record.body, at + recordHeaderBytes);
    this.#lastPosition = claims.position;
    this.#advance(identity);
  }

  #advance(identity: RecordIdentity): void {
    if (identity.kind === "identities") this.#sinceTable = 0;
    if (!changesLog(identity.kind)) return;
    this.#previous = identity;
    this.#recent.push(identity);
    if (this.#recent.length >= 2 * identitiesPerTable) this.#recent.splice(0, this.#recent.length - identitiesPerTable);
    this.#sinceTable += 1;
    if (isEntryKind(identity.kind)) this.#noteEntry(identity);
    else {
      this.#offsets.dropFrom(after(identity.kind === "reset" ? noIndex : identity.index));
      this.#startsRun = true;
    }
    this.#lastIndex = identity.index;
  }

  #noteEntry(identity: RecordIdentity): void {
    invariant(identity.index === this.#lastIndex + 1, "W3 entries follow one another");
    const { index, position } = identity;
    this.#offsets.note({ index, position, bytes: recordBytes(identity.bodyBytes), startsRun: this.#startsRun });
    this.#startsRun = false;
  }
}
