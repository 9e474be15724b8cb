/**
 * A log that is only looked at: nothing on disk is changed, and nothing is taken.
 *
 * Owns: finding what a start would find (the decisions are those of `wal-recovery.ts`), and reading entries of it. A replica may be writing
 * to it meanwhile: then it is seen as a crash at this moment would leave it. The hard state is not looked at.
 */
import type { Entry, EntryId } from "../model/entry.js";
import type { LogIndex } from "../model/ids.js";
import type { DamagedEntry } from "../model/log.js";
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import { findSegments } from "./log-files.js";
import type { LogRefused, StorageFailure } from "./log-store.js";
import { logDirectoryName, Segments, type SegmentParts } from "./segments.js";
import { activeOf, readerOf } from "./wal.js";
import { readEntries } from "./wal-reader.js";
import { recoverRecords } from "./wal-recovery.js";

export interface ReadLogOptions {
  readonly disk: Disk;
  readonly hash: Hash;
  /** The data directory. */
  readonly directory: string;
  readonly logIdentity: Uint8Array;
}

export interface ReadableLog {
  readonly kind: "readable";
  /** The last entry that the log does not hold any more. */
  readonly start: EntryId;
  readonly lastIndex: LogIndex;
  readonly damaged: readonly DamagedEntry[];
  /** Why entries may be missing at its end, if so. */
  readonly amnesia: string | undefined;
  /** As `LogStore.read`. */
  read(from: LogIndex, bytesMax: number, done: (result: readonly Entry[] | StorageFailure) => void): void;
  close(): void;
}

/** Throws `DiskError` if the disk fails. */
export function openLogToRead({ disk, hash, directory, logIdentity }: ReadLogOptions): ReadableLog | LogRefused {
  const context = { hash, logIdentity };
  const parts: SegmentParts = { disk, context, directory: `${directory}/${logDirectoryName}`, segmentBytes: 0 };
  const found = findSegments(parts);
  if (found.kind === "refused") return found;
  const shared = { buffer: new Uint8Array(0) };
  const readers = found.segments.map((segment) => readerOf(parts, segment, shared));
  const { replay, amnesia, end } = recoverRecords(readers, { context, start: found.start, cacheBytes: 0 });
  const active = activeOf(found.segments, end);
  const known = found.segments.filter(({ sequence }) => sequence <= active.sequence);
  const segments = new Segments(parts, { known, next: undefined, end }, ignore);
  const { lastIndex, offsets } = replay;
  return {
    kind: "readable",
    start: replay.start,
    lastIndex,
    damaged: replay.damaged.list(),
    amnesia,
    read: (from, bytesMax, done) =>
      readEntries({ disk, context, segments, offsets }, { from, last: lastIndex, bytesMax, done }),
    close: () => segments.close(ignore),
  };
}

function ignore(): void {
  // Nothing is written, so nothing can be lost.
}
