/**
 * The write-ahead log at work: the `LogStore` that an ordering engine writes to.
 *
 * Owns: grouping, the order of completions, what is known to be synced, what happens after a failure. Leaves to others: bytes
 * (`wal-chain.ts`, `wal-format.ts`), files (`segments.ts`), what was there at start (`wal-recovery.ts`, which makes this
 * object). Called by the engine's `persist`, `load` and repair.
 *
 * What waits while a write is in flight goes out in the next one: one run of bytes, one flush. A term and vote are durable
 * before any record that was asked for together with them or later (hazard D18). Invariants: W4 completions come in the order
 * of the writes; W6 nothing is written to a closed log; W7 no entry is of a later term than the replica. After a failed flush
 * nothing is written any more (hazard D1). An idle log writes at most one marker.
 */
import { invariant } from "../base/invariant.js";
import type { Entry } from "../model/entry.js";
import type { LogIndex, Term } from "../model/ids.js";
import { before, maxIndex, minIndex, noIndex } from "../model/ids.js";
import type { HardState, LogSpace, LogWrite } from "../model/log.js";
import type { CancelTimer, Clock } from "../ports/clock.js";
import { DiskError, type Disk } from "../ports/disk.js";
import type { DamagedRecords } from "./damaged-records.js";
import { writeBack } from "./damaged-records.js";
import type { WaitingWrite } from "./group-encoder.js";
import { encodedBytes, GroupEncoder } from "./group-encoder.js";
import type { HardStateStore } from "./hard-state.js";
import type { LogStatistics, LogStore, StorageFailure } from "./log-store.js";
import type { LogStarts } from "./log-start.js";
import { lastBefore, writeLogStart } from "./log-start.js";
import type { OffsetIndex } from "./offset-index.js";
import type { Segments } from "./segments.js";
import { SyncStatistics } from "./sync-statistics.js";
import type { LogChain } from "./wal-chain.js";
import type { FormatContext } from "./wal-format.js";
import type { ReadRequest } from "./wal-reader.js";
import { readEntries } from "./wal-reader.js";

/** A group grows to this size while it waits; a single larger record goes alone. */
const groupBytesMax = 1024 * 1024;
/** Quiet time after the last write before a marker says that it was synced. */
const markerDelayMs = 20;
/** How often a full disk is asked for space. */
const fullRetryMs = 1_000;

export interface LogWriterParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly context: FormatContext;
  readonly chain: LogChain;
  readonly offsets: OffsetIndex;
  readonly hardState: HardStateStore;
  readonly damaged: DamagedRecords;
  readonly segments: Segments;
  readonly starts: LogStarts;
  /** The last entry that the log does not hold. */
  readonly start: LogIndex;
  /** Groups that may be in flight together, markers not counted. */
  readonly groupsInFlightMax: number;
  /** Of what is left of the last segment there is space for. */
  readonly reserveBytes: number;
  /** Everything before this position is durable. */
  readonly syncedUpTo: number;
}

type Done = (failure: StorageFailure | undefined) => void;

interface QueuedWrite extends WaitingWrite {
  readonly write: LogWrite;
  readonly done: Done;
  hardStateDurable: boolean;
}

/** What goes to the disk in one write. */
interface Group {
  readonly kind: "records" | "marker";
  readonly completes: readonly QueuedWrite[];
  /** Position behind its last record. */
  readonly end: number;
  readonly lastIndex: LogIndex;
  readonly startedAt: number;
  durable: boolean;
}

export class LogWriter implements LogStore {
  readonly #parts: LogWriterParts;
  readonly #queue: QueuedWrite[] = [];
  readonly #inFlight: Group[] = [];
  readonly #reads = new Set<ReadRequest>();
  readonly #waitingReads: ReadRequest[] = [];
  readonly #statistics = new SyncStatistics();
  /** Of the newest hard state that was asked for. */
  #term: Term;
  #syncedUpTo: number;
  #durableIndex: LogIndex;
  #startIndex: LogIndex;
  #compacting = false;
  #hardStateInFlight = false;
  #waitsForSegment = false;
  /** Records are durable that no later record has called synced yet. */
  #unclaimed = true;
  #markerTimer: CancelTimer | undefined;
  #fullTimer: CancelTimer | undefined;
  #compactTimer: CancelTimer | undefined;
  #broken: StorageFailure | undefined;
  #closing: (() => void) | undefined;
  #closed = false;

  /** `refused`: the reason why this log is only read, if its damage does not allow more. */
  constructor(parts: LogWriterParts, refused: StorageFailure | undefined) {
    this.#parts = parts;
    this.#broken = refused;
    this.#term = parts.hardState.durable.hardState.term;
    this.#syncedUpTo = parts.syncedUpTo;
    this.#durableIndex = parts.chain.lastIndex;
    this.#startIndex = parts.start;
    if (parts.segments.isFresh) this.#noteStart();
    // Nobody writes to a log that cannot be written; of another it is soon known whether there is space for more.
    if (refused === undefined && parts.segments.remaining <= parts.reserveBytes) parts.segments.prepareNow();
    this.#armMarker();
  }

  get full(): string | undefined {
    const { full } = this.#parts.segments;
    return full === undefined ? undefined : `Cannot extend the log: ${full.message}`;
  }

  get space(): LogSpace {
    const { segments, reserveBytes } = this.#parts;
    if (segments.full === undefined) return "ample";
    const waiting = this.#queue.reduce((sum, { write }) => sum + encodedBytes(write), 0);
    const left = segments.remaining - waiting;
    if (left > reserveBytes) return "ample";
    return left > reserveBytes / 2 ? "short" : "none";
  }

  get statistics(): LogStatistics {
    return this.#statistics.snapshot();
  }

  write(write: LogWrite, done: Done): void {
    invariant(this.#closing === undefined, "W6 nothing is written to a closed log");
    if (this.#broken !== undefined) return this.#failLater(done, this.#broken);
    this.#term = write.hardState?.term ?? this.#term;
    invariant(
      (write.entries.at(-1)?.term ?? this.#term) <= this.#term,
      "W7 no entry is of a later term than the replica",
    );
    this.#statistics.countWrite();
    this.#queue.push({ write, done, taken: 0, truncated: false, hardStateDurable: write.hardState === undefined });
    const { truncateFrom } = write;
    if (truncateFrom !== undefined) this.#lowerReads(before(truncateFrom));
    this.#pump();
  }

  read(from: LogIndex, bytesMax: number, done: (result: readonly Entry[] | StorageFailure) => void): void {
    const { chain, offsets, damaged, clock } = this.#parts;
    if (from <= this.#startIndex) {
      clock.nextTurn(() => done(compacted(from)));
      return;
    }
    if (from > chain.lastIndex || damaged.has(from) || offsets.find(from) === undefined) {
      clock.nextTurn(() => done(missing(from)));
      return;
    }
    const request: ReadRequest = {
      from,
      last: chain.lastIndex,
      bytesMax,
      done: (result) => {
        this.#reads.delete(request);
        // Its file may have gone while it was read.
        done(from <= this.#startIndex ? compacted(from) : result);
      },
    };
    this.#reads.add(request);
    const readable = this.#readable();
    if (from <= readable) {
      request.last = readable;
      return readEntries(this.#parts, request);
    }
    // What is in flight may not have reached the file yet, and what is replaced is still there.
    this.#waitingReads.push(request);
  }

  repair(entry: Entry, done: Done): void {
    const { disk, segments, context, damaged, clock } = this.#parts;
    const record = damaged.find(entry, context.hash);
    if (record !== undefined) return writeBack({ disk, segments, context, damaged }, { record, entry }, done);
    const message = `Cannot repair entry ${entry.index}: it is not damaged, or this is not the entry that was lost`;
    clock.nextTurn(() => done({ kind: "storageFailure", code: "damaged", message }));
  }

  /** One at a time, and a failure changes nothing: the next checkpoint asks again, and a full disk is asked again before. */
  compact(upTo: LogIndex): void {
    const { starts, disk, context, segments, offsets, damaged } = this.#parts;
    const start = starts.cutFor(minIndex(upTo, this.#durableIndex));
    if (start === undefined || this.#compacting || this.#broken !== undefined || this.#closing !== undefined) return;
    this.#compacting = true;
    writeLogStart(disk, segments.directory, { start, context }, (failure) => {
      this.#compacting = false;
      if (failure === undefined && this.#broken === undefined) {
        const { index } = lastBefore(start);
        this.#startIndex = maxIndex(this.#startIndex, index);
        starts.cutAt(start);
        offsets.dropUpTo(index);
        damaged.dropUpTo(index);
        this.#free(start.base);
      } else if (failure?.code === "full") this.#compactLater(upTo);
      this.#endIfIdle();
    });
  }

  #compactLater(upTo: LogIndex): void {
    this.#compactTimer ??= this.#parts.clock.after(fullRetryMs, () => {
      this.#compactTimer = undefined;
      this.compact(upTo);
    });
  }

  #free(position: number): void {
    const { segments } = this.#parts;
    try {
      segments.freeBefore(position);
      if (segments.full !== undefined) segments.prepareNow();
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
      this.#break(cause);
    }
  }

  close(done: () => void): void {
    invariant(this.#closing === undefined, "W6 a log is closed once");
    this.#closing = done;
    this.#cancelMarker();
    this.#fullTimer?.();
    this.#compactTimer?.();
    if (this.#parts.segments.full !== undefined) this.#endWithoutSpace(this.#parts.segments.full);
    this.#endIfIdle();
  }

  /** Tells the log that the next segment is ready, or why not. Without space what waits for it goes on waiting. */
  onSegment(failure: DiskError | undefined): void {
    if (failure?.code === "full")
      return this.#closing === undefined ? this.#retryLater() : this.#endWithoutSpace(failure);
    if (!this.#waitsForSegment) return;
    this.#waitsForSegment = false;
    if (failure === undefined) return this.#pump();
    this.#break(failure);
  }

  #retryLater(): void {
    this.#fullTimer ??= this.#parts.clock.after(fullRetryMs, () => {
      this.#fullTimer = undefined;
      if (this.#broken === undefined) this.#parts.segments.prepareNow();
    });
  }

  /** A log that is closed waits for no space. */
  #endWithoutSpace(cause: DiskError): void {
    if (!this.#waitsForSegment) return;
    this.#waitsForSegment = false;
    this.#fail({ kind: "storageFailure", code: "full", message: `Cannot extend the log: ${cause.message}` });
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#broken === undefined) {
      if (this.#hardStateInFlight || this.#waitsForSegment) return;
      if (this.#groupsInFlight() >= this.#parts.groupsInFlightMax) return;
      if (this.#writeHardState()) return;
      if (!this.#writeGroup()) return this.#roll();
    }
    this.#endIfIdle();
  }

  /** The newest of all waiting hard states stands for all of them. Whether there was one. */
  #writeHardState(): boolean {
    const waiting = this.#queue.filter((queued) => !queued.hardStateDurable);
    const newest: HardState | undefined = waiting.at(-1)?.write.hardState;
    if (newest === undefined) return false;
    this.#hardStateInFlight = true;
    this.#parts.hardState.write(newest, (failure) => {
      this.#hardStateInFlight = false;
      if (failure !== undefined) return this.#break(failure);
      for (const queued of waiting) queued.hardStateDurable = true;
      this.#pump();
    });
    return true;
  }

  /** Writes as many records as fit, and the writes that end with them; false if not even the next record fits. */
  #writeGroup(): boolean {
    const encoder = this.#newEncoder(this.#queue);
    let completed = 0;
    for (const queued of this.#queue) {
      if (!encoder.addWrite(queued)) break;
      completed += 1;
    }
    if (completed === 0 && encoder.length === 0) return false;
    this.#issue("records", encoder, this.#queue.splice(0, completed));
    return true;
  }

  #newEncoder(queue: readonly QueuedWrite[]): GroupEncoder {
    const { chain, segments, hardState } = this.#parts;
    const bytes = queue.reduce((sum, { write }) => sum + encodedBytes(write), 0);
    return new GroupEncoder(chain, {
      position: segments.position,
      capacity: bytes,
      bytesMax: segments.remaining,
      groupBytesMax,
      syncedUpTo: this.#syncedUpTo,
      hardStateSequence: hardState.durable.sequence,
      onTruncation: (last) => this.#onTruncation(last),
      onReset: () => {
        this.#onTruncation(noIndex);
        this.#startIndex = chain.lastIndex;
      },
    });
  }

  #roll(): void {
    // `roll` answers later whether the segment became ready, so the flag is set before.
    this.#waitsForSegment = true;
    if (!this.#parts.segments.roll()) return;
    this.#waitsForSegment = false;
    this.#noteStart();
    this.#pump();
  }

  /** No record of the active segment is written yet. */
  #noteStart(): void {
    const { starts, segments, chain, hardState } = this.#parts;
    const { sequence, base } = segments.active;
    starts.note({ segment: sequence, base, ...chain.end, hardStateSequence: hardState.durable.sequence });
  }

  #issue(kind: Group["kind"], encoder: GroupEncoder, completes: readonly QueuedWrite[]): void {
    const { chain, segments, clock } = this.#parts;
    const place = segments.take(encoder.length);
    const end = place.position + encoder.length;
    const group: Group = {
      kind,
      completes,
      end,
      lastIndex: chain.lastIndex,
      startedAt: clock.monotonic(),
      durable: false,
    };
    this.#inFlight.push(group);
    // Nothing but a hard state, which is durable by now.
    if (encoder.length === 0) return clock.nextTurn(() => this.#onDurable(group, 0));
    place.file.write(place.at, [encoder.bytes], (failure) => {
      if (failure !== undefined) return this.#break(failure);
      this.#onDurable(group, encoder.length);
    });
  }

  #onTruncation(last: LogIndex): void {
    this.#parts.damaged.dropAfter(last);
    this.#durableIndex = minIndex(this.#durableIndex, last);
    this.#lowerReads(last);
  }

  #lowerReads(last: LogIndex): void {
    for (const read of this.#reads) read.last = minIndex(read.last, last);
  }

  /** Durable, and in place of it nothing else waits to be written. */
  #readable(): LogIndex {
    return this.#queue.reduce(
      (last, { write: { truncateFrom }, truncated }) =>
        truncated || truncateFrom === undefined ? last : minIndex(last, before(truncateFrom)),
      this.#durableIndex,
    );
  }

  #onDurable(group: Group, bytes: number): void {
    if (this.#broken !== undefined) return;
    group.durable = true;
    if (bytes > 0) this.#statistics.countSync(bytes, (this.#parts.clock.monotonic() - group.startedAt) / 1000);
    const completed: QueuedWrite[] = [];
    while (this.#inFlight[0]?.durable === true) {
      const first = this.#inFlight.shift();
      invariant(first !== undefined && first.end >= this.#syncedUpTo, "W4 groups complete in order");
      this.#syncedUpTo = first.end;
      this.#durableIndex = minIndex(first.lastIndex, this.#parts.chain.lastIndex);
      completed.push(...first.completes);
    }
    if (group.kind === "records" && bytes > 0) this.#unclaimed = true;
    this.#parts.segments.prepareAhead();
    this.#pump();
    this.#armMarker();
    this.#startWaitingReads();
    for (const queued of completed) queued.done(undefined);
  }

  #startWaitingReads(): void {
    const readable = this.#readable();
    for (const read of this.#waitingReads.splice(0)) {
      read.last = readable;
      if (read.from > readable) this.#waitingReads.push(read);
      else readEntries(this.#parts, read);
    }
  }

  /** A marker is written after a quiet moment, once, so that damage to the last batch can be told from a torn write. */
  #armMarker(): void {
    if (!this.#unclaimed || this.#markerTimer !== undefined || this.#closing !== undefined) return;
    const seen = this.#parts.chain.ordinal;
    this.#markerTimer = this.#parts.clock.after(markerDelayMs, () => {
      this.#markerTimer = undefined;
      if (this.#broken !== undefined) return;
      const idle = this.#isIdle() && seen === this.#parts.chain.ordinal;
      if (idle) this.#writeMarker();
      else this.#armMarker();
    });
  }

  /** Whether there was room for it: a marker is never worth a new segment, since the next record there says the same. */
  #writeMarker(): boolean {
    this.#unclaimed = false;
    const encoder = this.#newEncoder([]);
    if (!encoder.add(this.#parts.chain.marker())) return false;
    this.#issue("marker", encoder, []);
    return true;
  }

  #cancelMarker(): void {
    this.#markerTimer?.();
    this.#markerTimer = undefined;
  }

  #groupsInFlight(): number {
    return this.#inFlight.reduce((count, group) => count + (group.kind === "records" ? 1 : 0), 0);
  }

  #isIdle(): boolean {
    const isWriting = this.#inFlight.length > 0 || this.#hardStateInFlight || this.#compacting;
    return this.#queue.length === 0 && !isWriting;
  }

  /** The kernel forgets what a failed flush was about: nothing that follows could be believed, so nothing is tried again. */
  #break(cause: DiskError): void {
    if (this.#broken !== undefined) return;
    this.#broken = { kind: "storageFailure", code: "broken", message: `Cannot write the log: ${cause.message}` };
    this.#fail(this.#broken);
  }

  /** Tells everyone who waits, in order. What was not in flight is not in the log. */
  #fail(failure: StorageFailure): void {
    const failed = failure.code === "broken" ? this.#inFlight.splice(0).flatMap((group) => group.completes) : [];
    failed.push(...this.#queue.splice(0));
    const reads = failure.code === "broken" ? this.#waitingReads.splice(0) : [];
    for (const queued of failed) queued.done(failure);
    for (const read of reads) read.done(failure);
    this.#endIfIdle();
  }

  #failLater(done: Done, failure: StorageFailure): void {
    this.#parts.clock.nextTurn(() => done(failure));
  }

  /** A closed log ends with a marker, so that the next start finds nothing ambiguous. */
  #endIfIdle(): void {
    const done = this.#closing;
    if (done === undefined || this.#closed || !this.#isIdle()) return;
    if (this.#unclaimed && this.#broken === undefined && this.#writeMarker()) return;
    this.#closed = true;
    this.#parts.hardState.close(() => this.#parts.segments.close(() => done()));
  }
}

function compacted(index: LogIndex): StorageFailure {
  const message = `Cannot read entry ${index}: its part of the log was given back, a checkpoint covers it`;
  return { kind: "storageFailure", code: "compacted", message };
}

function missing(index: LogIndex): StorageFailure {
  return {
    kind: "storageFailure",
    code: "damaged",
    message: `Cannot read entry ${index}: it is damaged or not in the log`,
  };
}
