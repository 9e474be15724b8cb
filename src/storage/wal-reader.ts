/**
 * Reads entries back that have left the memory of the log's user.
 *
 * Owns: finding an entry from the nearest known place, reading in bounded chunks, checking what was read. Leaves to others:
 * what is in the log now (`wal.ts` asks only for entries that are durable). Bytes in place are never rewritten but by a repair,
 * so a reader needs no lock; it stops where a truncation has meanwhile cut the log.
 */
import { entryBytes, type Entry } from "../model/entry.js";
import type { LogIndex } from "../model/ids.js";
import { after } from "../model/ids.js";
import type { Disk, DiskFile } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";
import type { StorageFailure } from "./log-store.js";
import type { OffsetIndex } from "./offset-index.js";
import type { Segment, Segments } from "./segments.js";
import type { FormatContext, RecordHeader } from "./wal-format.js";
import {
  bodyChecksum,
  decodeRecordHeader,
  isEntryKind,
  recordBytes,
  recordHeaderBytes,
  segmentHeaderBytes,
} from "./wal-format.js";

const chunkBytes = 256 * 1024;

export interface ReadRequest {
  readonly from: LogIndex;
  /** The last index to read; a truncation lowers it. */
  last: LogIndex;
  readonly bytesMax: number;
  readonly done: (result: readonly Entry[] | StorageFailure) => void;
}

export interface ReaderParts {
  readonly disk: Disk;
  readonly context: FormatContext;
  readonly segments: Segments;
  readonly offsets: OffsetIndex;
}

/** One read at its place in the log. */
interface Cursor {
  readonly request: ReadRequest;
  readonly entries: Entry[];
  readonly segment: Segment;
  readonly file: DiskFile;
  position: number;
  /** The index that is looked for next. */
  wanted: LogIndex;
  bytes: number;
}

export function readEntries(parts: ReaderParts, request: ReadRequest): void {
  openAt(parts, request, { entries: [], wanted: request.from, bytes: 0 });
}

function openAt(
  parts: ReaderParts,
  request: ReadRequest,
  progress: { readonly entries: Entry[]; readonly wanted: LogIndex; readonly bytes: number },
): void {
  const span = parts.offsets.find(progress.wanted);
  const segment = span === undefined ? undefined : parts.segments.locate(span.position);
  if (span === undefined || segment === undefined) return request.done(missing(progress.wanted));
  parts.disk.openLater(parts.segments.pathOf(segment), "existing", (file) => {
    if (file instanceof DiskError) return request.done(broken(file));
    readChunk(parts, { request, ...progress, segment, file, position: span.position }, chunkBytes);
  });
}

/** A chunk that ends within a record is read again from that record on, and as long as it at least. */
function readChunk(parts: ReaderParts, cursor: Cursor, length: number): void {
  const { segment } = cursor;
  const at = cursor.position - segment.base;
  const within = Math.min(length, segment.bytes - at);
  cursor.file.read(at, within, (bytes) => {
    if (bytes instanceof DiskError) return end(cursor, broken(bytes));
    const stop = takeRecords(parts, cursor, bytes);
    switch (stop.kind) {
      case "more":
        // A file shorter than its segment ends here: asking again would give the same bytes.
        if (bytes.length < within) return end(cursor, missing(cursor.wanted));
        return readChunk(parts, cursor, Math.max(chunkBytes, stop.bytes));
      case "elsewhere":
        return goOnElsewhere(parts, cursor);
      case "enough":
        return end(cursor, undefined);
      case "unreadable":
        return end(cursor, missing(cursor.wanted));
    }
  });
}

type Stop =
  | { readonly kind: "enough" }
  /** The record at the cursor needs this many bytes. */
  | { readonly kind: "more"; readonly bytes: number }
  /** The wanted entry is found from another point of the index, or in the next segment. */
  | { readonly kind: "elsewhere" }
  | { readonly kind: "unreadable" };

function takeRecords(parts: ReaderParts, cursor: Cursor, bytes: Uint8Array): Stop {
  const { request, segment } = cursor;
  const start = cursor.position;
  let span = parts.offsets.find(cursor.wanted);
  for (;;) {
    if (cursor.wanted > request.last) return { kind: "enough" };
    if (span?.end !== undefined && cursor.wanted >= span.end) {
      span = parts.offsets.find(cursor.wanted);
      if (span === undefined || parts.segments.locate(span.position) !== segment) return { kind: "elsewhere" };
      cursor.position = span.position;
    }
    if (cursor.position - segment.base + recordHeaderBytes > segment.bytes) return { kind: "elsewhere" };
    const at = cursor.position - start;
    if (at + recordHeaderBytes > bytes.length) return { kind: "more", bytes: recordHeaderBytes };
    const header = decodeRecordHeader(bytes, at, cursor.position, parts.context);
    if (header === undefined) return { kind: "elsewhere" };
    const length = recordBytes(header.bodyBytes);
    if (cursor.position - segment.base + length > segment.bytes) return { kind: "unreadable" };
    if (at + length > bytes.length) return { kind: "more", bytes: length };
    if (isEntryKind(header.kind) && header.index >= cursor.wanted) {
      const entry = header.index === cursor.wanted ? entryAt(bytes, at, header, parts.context) : undefined;
      if (entry === undefined) return { kind: "unreadable" };
      if (!takeEntry(cursor, entry)) return { kind: "enough" };
    }
    cursor.position += length;
  }
}

/** Whether there was room for it; there always is for the first. */
function takeEntry(cursor: Cursor, entry: Entry): boolean {
  const total = cursor.bytes + entryBytes(entry);
  if (cursor.entries.length > 0 && total > cursor.request.bytesMax) return false;
  cursor.entries.push(entry);
  cursor.bytes = total;
  cursor.wanted = after(cursor.wanted);
  return true;
}

/** Goes to the next point of the index if it is the wanted entry's own, else to the next segment. */
function goOnElsewhere(parts: ReaderParts, cursor: Cursor): void {
  const { request, entries, wanted, bytes } = cursor;
  const span = parts.offsets.find(wanted);
  cursor.file.close(ignore);
  if (span !== undefined && span.first === wanted && span.position > cursor.position) {
    return openAt(parts, request, { entries, wanted, bytes });
  }
  const next = parts.segments.following(cursor.segment);
  if (next === undefined) return finish(cursor, missing(wanted));
  parts.disk.openLater(parts.segments.pathOf(next), "existing", (file) => {
    if (file instanceof DiskError) return finish(cursor, broken(file));
    const position = next.base + segmentHeaderBytes;
    readChunk(parts, { request, entries, wanted, bytes, segment: next, file, position }, chunkBytes);
  });
}

/** What was read before a failure is an answer; the failure comes up again when the next read begins there. */
function finish(
  cursor: { readonly request: ReadRequest; readonly entries: readonly Entry[] },
  failure: StorageFailure | undefined,
): void {
  const { request, entries } = cursor;
  const kept = entries.filter((entry) => entry.index <= request.last);
  request.done(kept.length > 0 ? kept : (failure ?? missing(request.from)));
}

function end(cursor: Cursor, failure: StorageFailure | undefined): void {
  cursor.file.close(ignore);
  finish(cursor, failure);
}

function entryAt(bytes: Uint8Array, at: number, header: RecordHeader, context: FormatContext): Entry | undefined {
  const { kind, index, term, time } = header;
  if (!isEntryKind(kind)) return undefined;
  const start = at + recordHeaderBytes;
  const payload = bytes.slice(start, start + header.bodyBytes);
  if (payload.length !== header.bodyBytes) return undefined;
  if (bodyChecksum(context.hash, header, payload) !== header.bodyChecksum) return undefined;
  return { index, term, kind, time, payload };
}

function missing(index: LogIndex): StorageFailure {
  return {
    kind: "storageFailure",
    code: "damaged",
    message: `Cannot read entry ${index}: it is damaged on this disk or not in its log`,
  };
}

function broken(cause: DiskError): StorageFailure {
  return { kind: "storageFailure", code: "broken", message: `Cannot read the log: ${cause.message}` };
}

function ignore(): void {
  // A file that was only read loses nothing when its close fails.
}
