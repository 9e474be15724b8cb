/**
 * Opens a log: checks that the files are ours, recovers what they hold, makes them ready to append.
 *
 * Owns: the order of these steps, and carrying out what recovery decided (erasing a tail, removing what lies behind it, making
 * the rest durable). Leaves to others: the decisions (`wal-recovery.ts`), writing (`log-writer.ts`). Synchronous, called once
 * at start. Every step may be cut short by a crash and is then taken again with the same outcome (hazard D15).
 */
import { invariant } from "../base/invariant.js";
import { noTerm } from "../model/ids.js";
import type { HardState } from "../model/log.js";
import type { Clock } from "../ports/clock.js";
import type { Disk } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import { openHardState, recoverHardState } from "./hard-state.js";
import type { RecoveredHardState, StoredHardState } from "./hard-state.js";
import type { FoundLog } from "./log-files.js";
import { findSegments, segmentBytesMost } from "./log-files.js";
import type { LogRefused, LogStore, RecoveredLog, StorageFailure } from "./log-store.js";
import { logStartAside, LogStarts } from "./log-start.js";
import { LogWriter } from "./log-writer.js";
import { LogChain } from "./wal-chain.js";
import type { FormatContext } from "./wal-format.js";
import { encodeSegmentHeader, formatVersion, segmentHeaderBytes } from "./wal-format.js";
import type { FoundSegment, Recovery } from "./wal-recovery.js";
import { recoverRecords } from "./wal-recovery.js";
import { scanSegment } from "./wal-scan.js";
import { preparingName } from "./segment-preparation.js";
import { logDirectoryName, segmentName, Segments } from "./segments.js";
import type { Segment, SegmentParts } from "./segments.js";

export interface LogOptions {
  readonly disk: Disk;
  readonly hash: Hash;
  readonly clock: Clock;
  /** The data directory, opened before (`openDataDirectory`). */
  readonly directory: string;
  readonly logIdentity: Uint8Array;
  /** Of segments made from now on; 1 MiB to 256 MiB. */
  readonly segmentBytes: number;
  readonly groupsInFlightMax: number;
  /** Kept for elections and members when the disk is full (`StorageLimits`). */
  readonly reserveBytes: number;
  /** The newest entries that recovery hands over, in bytes. */
  readonly cacheBytes: number;
}

export interface OpenedLog {
  readonly kind: "opened";
  readonly log: LogStore;
  readonly recovered: RecoveredLog;
}

const copyBytes = 1024 * 1024;

/** Recovers what is there, makes the directory ready to append, and hands both over. Throws `DiskError` if the disk fails. */
export function openLog(options: LogOptions): OpenedLog | LogRefused {
  const { disk, directory } = options;
  const context: FormatContext = { hash: options.hash, logIdentity: options.logIdentity };
  const parts: SegmentParts = {
    disk,
    context,
    directory: `${directory}/${logDirectoryName}`,
    segmentBytes: options.segmentBytes,
  };
  invariant(options.segmentBytes <= segmentBytesMost, "a segment fits into memory");
  const found = findSegments(parts);
  if (found.kind === "refused") return found;
  const hardState = readHardState(disk, directory, context);
  if (hardState === undefined) {
    const message = `Cannot open the log in ${directory}: its hard-state file is gone, and with it the vote of this replica`;
    return { kind: "refused", code: "missing", message };
  }

  const shared = { buffer: new Uint8Array(0) };
  const readers = found.segments.map((segment) => readerOf(parts, segment, shared));
  const { start } = found;
  const recovery = recoverRecords(readers, { context, start, cacheBytes: options.cacheBytes });
  const amnesia = recovery.amnesia ?? amnesiaOf(hardState, recovery);
  if (amnesia === undefined) makeReady(parts, found, readers, recovery);
  return assemble(options, parts, { found, recovery, hardState, amnesia });
}

function readHardState(disk: Disk, directory: string, context: FormatContext): RecoveredHardState | undefined {
  try {
    return recoverHardState(disk, directory, context);
  } catch (error) {
    if (error instanceof DiskError && error.code === "notFound") return undefined;
    throw error;
  }
}

/** A hard state is durable before any record that follows it: one that is older than the log has seen was lost (hazard D18). */
function amnesiaOf(hardState: RecoveredHardState, recovery: Recovery): string | undefined {
  if (hardState.kind === "lost") return "both copies of the hard state are damaged";
  const { sequence, hardState: state } = hardState.stored;
  if (sequence < recovery.hardStateSequence) {
    return `the hard state is number ${sequence}, but the log has seen number ${recovery.hardStateSequence}`;
  }
  const lastTerm = recovery.replay.lastTerm ?? noTerm;
  if (state.term < lastTerm) return `the hard state's term is ${state.term}, but the log ends in term ${lastTerm}`;
  return undefined;
}

/** All segments are read into `shared` in turn. */
export function readerOf(parts: SegmentParts, segment: Segment, shared: { buffer: Uint8Array }): FoundSegment {
  return {
    sequence: segment.sequence,
    base: segment.base,
    load: () => {
      if (shared.buffer.length < segment.bytes) shared.buffer = new Uint8Array(segment.bytes);
      const file = parts.disk.openFile(`${parts.directory}/${segmentName(segment.sequence)}`, "existing");
      const length = file.readNow(0, shared.buffer.subarray(0, segment.bytes));
      file.close(ignore);
      return shared.buffer.subarray(0, length);
    },
  };
}

/** Carries the decision out: erase the tail, remove what lies behind it, make what counts durable. */
function makeReady(parts: SegmentParts, found: FoundLog, readers: readonly FoundSegment[], recovery: Recovery): void {
  const active = activeOf(found.segments, recovery.end);
  for (const segment of found.headersToWrite) writeHeader(parts, segment);
  for (const [at, segment] of found.segments.entries()) {
    const reader = readers[at];
    if (reader === undefined || segment.sequence > active.sequence) continue;
    if (segment.base + segment.bytes <= recovery.syncedUpTo) continue;
    rewriteUnsynced(parts, segment, reader.load(), recovery);
  }
  removeBehind(parts, readers, active);
  for (const sequence of found.toRemove) parts.disk.remove(`${parts.directory}/${segmentName(sequence)}`);
  if (found.toRemove.length > 0) parts.disk.syncDirectory(parts.directory);
}

export function activeOf(segments: readonly Segment[], end: number): Segment {
  const active = segments.findLast((segment) => segment.base < end);
  invariant(active !== undefined, "a log ends in one of its segments");
  return active;
}

/**
 * What was not known to be synced is written once more and synced: a page that a failed flush left behind looks like one that
 * is on disk, until the power goes (hazard D1). Behind the end of the log zeros are written, so nothing there comes back.
 */
function rewriteUnsynced(parts: SegmentParts, segment: Segment, bytes: Uint8Array, recovery: Recovery): void {
  const end = Math.min(recovery.end - segment.base, bytes.length);
  const from = Math.min(Math.max(recovery.syncedUpTo - segment.base, segmentHeaderBytes), end);
  const isLast = recovery.end <= segment.base + segment.bytes;
  const dirtyEnd = isLast ? lastDirty(bytes, end) : end;
  bytes.fill(0, end, dirtyEnd);
  const file = parts.disk.openFile(`${parts.directory}/${segmentName(segment.sequence)}`, "existing");
  for (let at = from; at < dirtyEnd; at += copyBytes)
    file.writeNow(at, bytes.subarray(at, Math.min(at + copyBytes, dirtyEnd)));
  file.syncNow();
  file.close(ignore);
}

/** Where the last byte behind `end` lies that is not zero; `end` if there is none. */
function lastDirty(bytes: Uint8Array, end: number): number {
  let at = bytes.length;
  while (at % 4 !== 0 && at > end && bytes[at - 1] === 0) at -= 1;
  if (at % 4 === 0 && bytes.byteOffset % 4 === 0) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, at / 4);
    while (at - 4 >= end && words[at / 4 - 1] === 0) at -= 4;
  }
  while (at > end && bytes[at - 1] === 0) at -= 1;
  return at;
}

function writeHeader(parts: SegmentParts, segment: Segment): void {
  const file = parts.disk.openFile(`${parts.directory}/${segmentName(segment.sequence)}`, "existing");
  file.writeNow(0, encodeSegmentHeader({ version: formatVersion, ...segment }, parts.context));
  file.syncNow();
  file.close(ignore);
}

/**
 * Segments behind the active one hold records that do not count, or nothing. One that holds nothing is kept as the next one.
 * The last is removed first and each removal is synced, so a crash in between never leaves a gap in the numbers.
 */
function removeBehind(parts: SegmentParts, readers: readonly FoundSegment[], active: Segment): void {
  const behind = readers.filter((segment) => segment.sequence > active.sequence);
  const hasRecords = behind.some((segment) => !isEmpty(parts, segment));
  const kept = hasRecords ? 0 : 1;
  for (const segment of behind.slice(kept).toReversed()) {
    parts.disk.remove(`${parts.directory}/${segmentName(segment.sequence)}`);
    parts.disk.syncDirectory(parts.directory);
  }
  for (const name of [preparingName, logStartAside]) {
    const path = `${parts.directory}/${name}`;
    if (parts.disk.exists(path)) parts.disk.remove(path);
  }
}

function isEmpty(parts: SegmentParts, reader: FoundSegment): boolean {
  const first = scanSegment(reader.load(), reader.base, parts.context).next();
  return first.done === true;
}

function assemble(
  options: LogOptions,
  parts: SegmentParts,
  outcome: {
    readonly found: FoundLog;
    readonly recovery: Recovery;
    readonly hardState: RecoveredHardState;
    readonly amnesia: string | undefined;
  },
): OpenedLog {
  const { found, recovery, amnesia } = outcome;
  const { replay, end } = recovery;
  const stored = storedHardState(outcome.hardState, recovery);
  const active = activeOf(found.segments, end);
  const following = found.segments.find((segment) => segment.sequence === active.sequence + 1);
  const stillThere =
    following !== undefined && options.disk.exists(`${parts.directory}/${segmentName(following.sequence)}`);
  const places = {
    known: found.segments.filter((segment) => segment.sequence <= active.sequence),
    next: amnesia === undefined && stillThere ? following : undefined,
    end,
  };
  // The segments tell the writer of changes, and the writer is made of the segments.
  const segments: Segments = new Segments(parts, places, (failure) => log.onSegment(failure));
  const log = new LogWriter(
    {
      disk: options.disk,
      clock: options.clock,
      context: parts.context,
      chain: new LogChain(parts.context, replay.offsets, replay.end),
      offsets: replay.offsets,
      hardState: openHardState(options.disk, options.directory, parts.context, stored),
      damaged: replay.damaged,
      segments,
      starts: new LogStarts(recovery.starts),
      start: replay.start.index,
      groupsInFlightMax: options.groupsInFlightMax,
      reserveBytes: options.reserveBytes,
      syncedUpTo: end,
    },
    amnesia === undefined ? undefined : refusal(options.directory, amnesia),
  );
  return { kind: "opened", log, recovered: recoveredLog(recovery, stored.hardState, amnesia) };
}

function recoveredLog({ replay }: Recovery, hardState: HardState, amnesia: string | undefined): RecoveredLog {
  return {
    hardState,
    start: replay.start,
    lastIndex: replay.lastIndex,
    terms: replay.terms,
    tail: replay.tail,
    configurations: replay.configurations,
    damaged: replay.damaged.list(),
    amnesia,
  };
}

/** An amnesiac replica keeps the highest term it can find, and no vote: it may not use it, but it may show it. */
function storedHardState(recovered: RecoveredHardState, recovery: Recovery): StoredHardState {
  const lastTerm = recovery.replay.lastTerm ?? noTerm;
  if (recovered.kind === "found" && recovered.stored.hardState.term >= lastTerm) return recovered.stored;
  return { sequence: recovery.hardStateSequence, hardState: { term: lastTerm, votedFor: undefined } };
}

function refusal(directory: string, amnesia: string): StorageFailure {
  const message = `Cannot write the log in ${directory}: ${amnesia}, so this replica may have forgotten what it promised`;
  return { kind: "storageFailure", code: "damaged", message };
}

function ignore(): void {
  // The file was synced before it is closed, or only read.
}
