/**
 * What the records of a log add up to: its last index, its terms, its newest entries, where to find the others.
 *
 * Owns: the effect of each record on that picture. Leaves to others: which records count (`wal-recovery.ts`). Memory: the cache
 * that was asked for, the sparse index, and a run per term.
 */
import { invariant } from "../base/invariant.js";
import type { Entry, EntryId } from "../model/entry.js";
import { entryBytes } from "../model/entry.js";
import type { LogIndex, Term } from "../model/ids.js";
import { after, before, noIndex } from "../model/ids.js";
import type { TermRun } from "../model/log.js";
import { DamagedRecords } from "./damaged-records.js";
import { OffsetIndex } from "./offset-index.js";
import type { LogEnd } from "./wal-chain.js";
import { identitiesPerTable } from "./wal-chain.js";
import type { RecordHeader, RecordIdentity } from "./wal-format.js";
import type { LogStart } from "./log-start.js";
import { lastBefore } from "./log-start.js";
import { changesLog, isEntryKind, recordBytes } from "./wal-format.js";

export class LogReplay {
  readonly offsets = new OffsetIndex();
  readonly damaged = new DamagedRecords();
  readonly #cacheBytes: number;
  readonly #terms: TermRun[] = [];
  readonly #recent: RecordIdentity[] = [];
  /** The newest entries; those before `#tailStart` have been given up. */
  #tail: Entry[] = [];
  #tailStart = 0;
  #tailBytes = 0;
  #start: EntryId;
  /** What stands before the first record. */
  readonly #before: RecordIdentity;
  #lastIndex: LogIndex;
  #lastPosition: number;
  #previous: RecordIdentity;
  /** Whoever is a member must be known, however long ago it was decided. */
  #configurations: Entry[] = [];
  #startsRun = true;

  /** Begins where the log does. */
  constructor(start: LogStart, cacheBytes: number) {
    this.#cacheBytes = cacheBytes;
    this.#start = lastBefore(start);
    this.#before = start.previous;
    this.#lastIndex = this.#start.index;
    this.#lastPosition = start.lastPosition;
    this.#previous = start.previous;
  }

  /** The last entry that the log does not hold: the first one that it does follows it. */
  get start(): EntryId {
    return this.#start;
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term | undefined {
    return this.#terms.at(-1)?.term ?? (this.#start.index === noIndex ? undefined : this.#start.term);
  }

  get terms(): readonly TermRun[] {
    return this.#terms;
  }

  /** The last record that changed the log. */
  get previous(): RecordIdentity {
    return this.#previous;
  }

  /** Of the last record of any kind. */
  get lastPosition(): number {
    return this.#lastPosition;
  }

  get tail(): readonly Entry[] {
    return this.#tail.slice(this.#tailStart);
  }

  get configurations(): readonly Entry[] {
    return this.#configurations;
  }

  get end(): LogEnd {
    return {
      lastPosition: this.#lastPosition,
      previous: this.#previous,
      lastIndex: this.#lastIndex,
      recent: this.#recent,
    };
  }

  /** Whether a record with this name can be the next one. */
  continues(identity: RecordIdentity): boolean {
    if (!changesLog(identity.kind)) return identity.ordinal === this.#previous.ordinal;
    if (identity.ordinal !== this.#previous.ordinal + 1) return false;
    if (identity.kind === "reset") return true;
    return isEntryKind(identity.kind) ? identity.index === this.#lastIndex + 1 : identity.index <= this.#lastIndex;
  }

  /** A whole record. */
  keep(header: RecordHeader, body: Uint8Array): void {
    this.#advance(header);
    const { kind, index, term, time } = header;
    if (!isEntryKind(kind)) return;
    const entry = { index, term, kind, time, payload: body.slice() };
    if (kind === "configuration") this.#configurations.push(entry);
    this.#tail.push(entry);
    this.#tailBytes += entryBytes(entry);
    this.#boundTail();
  }

  /** A record of which only the name is left. */
  name(identity: RecordIdentity, previousPosition: number): void {
    const previous = this.#previous;
    this.breakRun();
    this.#advance(identity);
    if (!isEntryKind(identity.kind)) return;
    this.damaged.add({ identity, previous, previousPosition });
    this.#clearTail();
    this.breakRun();
  }

  /** What comes next cannot be reached by reading on from what came before, so the index needs a point there. */
  breakRun(): void {
    this.#startsRun = true;
  }

  /** A header whose body no longer matters to the log. */
  pass(header: RecordHeader): void {
    this.#lastPosition = header.position;
  }

  /** The record before turns out to be an old one; its successor knows the right name. False if that cannot be put right. */
  renamePrevious(identity: RecordIdentity): boolean {
    const wrong = this.#previous;
    if (!isEntryKind(wrong.kind) || !isEntryKind(identity.kind)) return false;
    if (identity.index !== wrong.index || identity.ordinal !== wrong.ordinal) return false;
    const beforeWrong = this.#recent.at(-2) ?? this.#before;
    if (beforeWrong.ordinal !== wrong.ordinal - 1) return false;
    this.#recent.pop();
    this.#dropAfter(before(wrong.index));
    this.#previous = beforeWrong;
    this.name(identity, beforeWrong.position);
    return true;
  }

  #advance(identity: RecordIdentity): void {
    invariant(this.continues(identity), "each record continues the log");
    this.#lastPosition = identity.position;
    if (!changesLog(identity.kind)) return;
    this.#previous = identity;
    this.#recent.push(identity);
    if (this.#recent.length > identitiesPerTable) this.#recent.shift();
    if (identity.kind === "reset") return this.#restart(identity);
    if (!isEntryKind(identity.kind)) return this.#dropAfter(identity.index);
    const { index, position, term } = identity;
    this.#lastIndex = index;
    if (term !== this.#terms.at(-1)?.term) this.#terms.push({ firstIndex: index, term });
    this.offsets.note({ index, position, bytes: recordBytes(identity.bodyBytes), startsRun: this.#startsRun });
    this.#startsRun = false;
  }

  #restart({ index, term }: RecordIdentity): void {
    this.#dropAfter(noIndex);
    this.#start = { index, term };
    this.#lastIndex = index;
  }

  #dropAfter(last: LogIndex): void {
    while ((this.#terms.at(-1)?.firstIndex ?? noIndex) > last) this.#terms.pop();
    while (this.#tail.length > this.#tailStart && (this.#tail.at(-1)?.index ?? noIndex) > last) {
      const dropped = this.#tail.pop();
      if (dropped !== undefined) this.#tailBytes -= entryBytes(dropped);
    }
    while ((this.#configurations.at(-1)?.index ?? noIndex) > last) this.#configurations.pop();
    this.offsets.dropFrom(after(last));
    this.damaged.dropAfter(last);
    this.#lastIndex = last;
    this.#startsRun = true;
  }

  #boundTail(): void {
    while (this.#tailBytes > this.#cacheBytes && this.#tail.length - this.#tailStart > 1) {
      const oldest = this.#tail[this.#tailStart];
      invariant(oldest !== undefined, "the tail is not empty");
      this.#tailBytes -= entryBytes(oldest);
      this.#tailStart += 1;
    }
    if (this.#tailStart < 1024 && 2 * this.#tailStart < this.#tail.length) return;
    this.#tail = this.#tail.slice(this.#tailStart);
    this.#tailStart = 0;
  }

  #clearTail(): void {
    this.#tail = [];
    this.#tailStart = 0;
    this.#tailBytes = 0;
  }
}
