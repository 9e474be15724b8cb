/**
 * The bytes of the log, as tables: the header of a segment, the header of a record, the table of identities.
 *
 * Owns: encoding, decoding, checksums. Leaves to others: files (`segments.ts`), when to write (`wal.ts`), what a missing or a
 * damaged record means (`wal-recovery.ts`). docs/internals/formats.md holds the same tables. All numbers are little-endian.
 *
 * A *position* counts bytes of the log from its first segment on, segment headers included, and is never used twice. Every
 * record carries its own position, so a record at the wrong place (an old sector, a misdirected write, a recycled file) is
 * never taken for one that belongs there.
 */
import { ByteReader, ByteWriter, equalBytes } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import type { Entry, EntryKind } from "../model/entry.js";
import { logIndex, term as termOf } from "../model/ids.js";
import type { LogIndex, Term } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";

export const formatVersion = 1;
/** A segment's header has a block of its own, so that no later write touches its sector. */
export const segmentHeaderBytes = 4096;
export const recordHeaderBytes = 128;

/** Entries, truncations and resets change the log; markers and identity tables only say something about it. */
export type RecordKind = EntryKind | "truncate" | "reset" | "marker" | "identities";

/** Names a record that changes the log: enough to vote by, to ask a peer for the content, and to write it back in place. */
export interface RecordIdentity {
  /** Counts the records that change the log, from 1. */
  readonly ordinal: number;
  readonly position: number;
  readonly kind: RecordKind;
  /** Of an entry its own; of a truncation the last index that is left; of a reset that behind which the log goes on. */
  readonly index: LogIndex;
  readonly term: Term;
  readonly bodyBytes: number;
  readonly bodyChecksum: number;
}

export interface RecordHeader extends RecordIdentity {
  readonly time: number;
  /** Position of the record before this one, of any kind; 0 for the first. */
  readonly previousPosition: number;
  /** Everything before this position was known to be durable when this record was written. */
  readonly syncedUpTo: number;
  /** The hard state that was durable when this record was written: a lower one found at start is an old one. */
  readonly hardStateSequence: number;
  /** The last record that changed the log before this one: the chain. */
  readonly previous: RecordIdentity;
}

export interface SegmentHeader {
  readonly version: number;
  readonly sequence: number;
  /** Position of the first byte of this segment. */
  readonly base: number;
  readonly bytes: number;
}

const segmentMagic = 0x5347_5751; // "QWGS"
const recordMagic = 0x4552_5751; // "QWRE"
const kinds: readonly (RecordKind | undefined)[] = [
  undefined,
  "noop",
  "batch",
  "time",
  "configuration",
  "report",
  "version",
  "checkpoint",
  "truncate",
  "marker",
  "identities",
  "reset",
  "record",
];

/** What stands before the first record: nothing, with ordinal 0. */
export const noRecord: RecordIdentity = {
  ordinal: 0,
  position: 0,
  kind: "marker",
  index: 0 as LogIndex,
  term: 0 as Term,
  bodyBytes: 0,
  bodyChecksum: 0,
};

export function numberOfKind(kind: RecordKind): number {
  return kinds.indexOf(kind);
}

export function kindOf(number: number): RecordKind | undefined {
  return kinds[number];
}

export function changesLog(kind: RecordKind): boolean {
  return kind !== "marker" && kind !== "identities";
}

export function isEntryKind(kind: RecordKind): kind is EntryKind {
  return changesLog(kind) && kind !== "truncate" && kind !== "reset";
}

/** Header, body, and zeros up to a multiple of eight, so that a search for the next record looks at every eighth byte only. */
export function recordBytes(bodyBytes: number): number {
  return recordHeaderBytes + ((bodyBytes + 7) & ~7);
}

export function sameIdentity(left: RecordIdentity, right: RecordIdentity): boolean {
  return (
    left.ordinal === right.ordinal &&
    left.position === right.position &&
    left.kind === right.kind &&
    left.index === right.index &&
    left.term === right.term &&
    left.bodyBytes === right.bodyBytes &&
    left.bodyChecksum === right.bodyChecksum
  );
}

/** What `DamagedEntry.checksum` holds: the same on every replica that has this entry, so a peer's copy can be compared. */
export function entryChecksum(hash: Hash, entry: Entry): number {
  return bodyChecksum(hash, entry, entry.payload);
}

const checksumHead = new Uint8Array(32);
const checksumHeadView = new DataView(checksumHead.buffer);

/** Covers kind, index, term and time too: a whole body under the wrong name does not match. */
export function bodyChecksum(
  hash: Hash,
  named: { readonly kind: RecordKind; readonly index: number; readonly term: number; readonly time: number },
  body: Uint8Array,
): number {
  checksumHeadView.setUint32(0, kinds.indexOf(named.kind), true);
  putU64(checksumHeadView, 8, named.index);
  putU64(checksumHeadView, 16, named.term);
  checksumHeadView.setFloat64(24, named.time, true);
  return hash.crc32(body, hash.crc32(checksumHead));
}

/** Where a header is made, before it is copied to its place: a view of each place would cost as much as the header. */
const headerBytes = new Uint8Array(recordHeaderBytes);
const headerView = new DataView(headerBytes.buffer);
const checkedBytes = headerBytes.subarray(8);

/**
 * A record's header; `bytes` are the group that the record is written into, `at` is the record's start there.
 *
 * | at | bytes | field |
 * |---|---|---|
 * | 0 | 4 | magic |
 * | 4 | 4 | CRC-32 of bytes 8 to 127 |
 * | 8 | 8 | position |
 * | 16 | 8 | position of the record before |
 * | 24 | 8 | synced up to |
 * | 32 | 8 | log identity |
 * | 40 | 8 | ordinal |
 * | 48 | 8 | index |
 * | 56 | 8 | term |
 * | 64 | 8 | time (float) |
 * | 72 | 4 | body bytes |
 * | 76 | 4 | CRC-32 of kind, index, term, time and body |
 * | 80 | 1 | kind |
 * | 81 | 1 | chain: kind |
 * | 82 | 2 | zero |
 * | 84 | 4 | hard state's sequence |
 * | 88 | 8 | chain: position |
 * | 96 | 8 | chain: index |
 * | 104 | 8 | chain: term |
 * | 112 | 4 | chain: body bytes |
 * | 116 | 4 | chain: body checksum |
 * | 120 | 8 | zero |
 */
export function encodeRecordHeader(bytes: Uint8Array, at: number, header: RecordHeader, context: FormatContext): void {
  invariant(header.syncedUpTo <= header.position, "W1 a record claims nothing about itself or what follows");
  invariant(header.previousPosition < header.position, "W2 positions grow");
  const view = headerView;
  view.setUint32(0, recordMagic, true);
  putU64(view, 8, header.position);
  putU64(view, 16, header.previousPosition);
  putU64(view, 24, header.syncedUpTo);
  headerBytes.set(context.logIdentity, 32);
  putU64(view, 40, header.ordinal);
  putU64(view, 48, header.index);
  putU64(view, 56, header.term);
  view.setFloat64(64, header.time, true);
  view.setUint32(72, header.bodyBytes, true);
  view.setUint32(76, header.bodyChecksum, true);
  view.setUint8(80, kinds.indexOf(header.kind));
  view.setUint8(81, kinds.indexOf(header.previous.kind));
  view.setUint32(84, header.hardStateSequence, true);
  putU64(view, 88, header.previous.position);
  putU64(view, 96, header.previous.index);
  putU64(view, 104, header.previous.term);
  view.setUint32(112, header.previous.bodyBytes, true);
  view.setUint32(116, header.previous.bodyChecksum, true);
  view.setUint32(4, context.hash.crc32(checkedBytes), true);
  bytes.set(headerBytes, at);
}

/** What every record of one log shares, and what reads it. */
export interface FormatContext {
  readonly hash: Hash;
  readonly logIdentity: Uint8Array;
}

/** The header of a record that belongs at `position`, or undefined: whatever else lies there. */
export function decodeRecordHeader(
  bytes: Uint8Array,
  at: number,
  position: number,
  context: FormatContext,
): RecordHeader | undefined {
  if (at + recordHeaderBytes > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, recordHeaderBytes);
  if (view.getUint32(0, true) !== recordMagic) return undefined;
  if (view.getUint32(4, true) !== context.hash.crc32(bytes.subarray(at + 8, at + recordHeaderBytes))) return undefined;
  if (getU64(view, 8) !== position) return undefined;
  if (!equalBytes(bytes.subarray(at + 32, at + 40), context.logIdentity)) return undefined;

  const kind = kinds[view.getUint8(80)];
  const previousKind = kinds[view.getUint8(81)];
  if (kind === undefined || previousKind === undefined) return undefined;
  const ordinal = getU64(view, 40);
  const header: RecordHeader = {
    ordinal,
    position,
    kind,
    index: indexAt(view, 48),
    term: termAt(view, 56),
    time: view.getFloat64(64, true),
    bodyBytes: view.getUint32(72, true),
    bodyChecksum: view.getUint32(76, true),
    previousPosition: getU64(view, 16),
    syncedUpTo: getU64(view, 24),
    hardStateSequence: view.getUint32(84, true),
    previous: {
      ordinal: changesLog(kind) ? ordinal - 1 : ordinal,
      position: getU64(view, 88),
      kind: previousKind,
      index: indexAt(view, 96),
      term: termAt(view, 104),
      bodyBytes: view.getUint32(112, true),
      bodyChecksum: view.getUint32(116, true),
    },
  };
  return header.syncedUpTo <= position && header.previousPosition < position ? header : undefined;
}

/** Whether a header might begin at `at`: the cheap part of the test, for the search after damage. */
export function mayBeginRecord(view: DataView, at: number): boolean {
  return view.getUint32(at, true) === recordMagic;
}

/**
 * The header of a segment: magic (4), CRC-32 of bytes 8 to 47 (4), format version (4), zero (4), log identity (8),
 * sequence (8), base (8), bytes (8); the rest of the block is zero.
 */
export function encodeSegmentHeader(header: SegmentHeader, context: FormatContext): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, segmentMagic, true);
  view.setUint32(8, header.version, true);
  bytes.set(context.logIdentity, 16);
  putU64(view, 24, header.sequence);
  putU64(view, 32, header.base);
  putU64(view, 40, header.bytes);
  view.setUint32(4, context.hash.crc32(bytes.subarray(8, 48)), true);
  return bytes;
}

export type DecodedSegmentHeader =
  | { readonly kind: "segment"; readonly header: SegmentHeader }
  | { readonly kind: "damaged" }
  | { readonly kind: "newer"; readonly version: number }
  | { readonly kind: "foreign" };

export function decodeSegmentHeader(bytes: Uint8Array, context: FormatContext): DecodedSegmentHeader {
  if (bytes.length < segmentHeaderBytes) return { kind: "damaged" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, segmentHeaderBytes);
  if (view.getUint32(0, true) !== segmentMagic) return { kind: "damaged" };
  if (view.getUint32(4, true) !== context.hash.crc32(bytes.subarray(8, 48))) return { kind: "damaged" };
  const version = view.getUint32(8, true);
  if (version > formatVersion) return { kind: "newer", version };
  if (!equalBytes(bytes.subarray(16, 24), context.logIdentity)) return { kind: "foreign" };
  const header = { version, sequence: getU64(view, 24), base: getU64(view, 32), bytes: getU64(view, 40) };
  return { kind: "segment", header };
}

/** The body of an `identities` record: growing ordinals without gaps, the numbers as differences to the record before. */
export function encodeIdentities(identities: readonly RecordIdentity[]): Uint8Array {
  const writer = new ByteWriter(16 + identities.length * 20);
  writer.varint(identities.length);
  writer.varint(identities[0]?.ordinal ?? 0);
  let position = 0;
  for (const identity of identities) {
    writer.varint(identity.position - position);
    writer.u8(kinds.indexOf(identity.kind));
    writer.varint(identity.index);
    writer.varint(identity.term);
    writer.varint(identity.bodyBytes);
    writer.u32(identity.bodyChecksum);
    position = identity.position;
  }
  return writer.finish();
}

/** Only for a body whose checksum matched; undefined if it is malformed all the same. */
export function decodeIdentities(body: Uint8Array): readonly RecordIdentity[] | undefined {
  const reader = new ByteReader(body);
  const count = reader.varint();
  const first = reader.varint();
  if (count > body.length) return undefined;
  const identities: RecordIdentity[] = [];
  let position = 0;
  for (let at = 0; at < count; at += 1) {
    position += reader.varint();
    const kind = kinds[reader.u8()];
    const index = logIndex(reader.varint());
    const term = termOf(reader.varint());
    if (reader.failed || kind === undefined || index === undefined || term === undefined) return undefined;
    const bodyBytes = reader.varint();
    identities.push({ ordinal: first + at, position, kind, index, term, bodyBytes, bodyChecksum: reader.u32() });
  }
  return reader.complete ? identities : undefined;
}

function putU64(view: DataView, at: number, value: number): void {
  invariant(Number.isSafeInteger(value) && value >= 0, "the log's numbers are safe integers from 0");
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** A number behind a checksum; what exceeds a safe integer cannot have been written by `putU64` and becomes -1. */
function getU64(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  return high < 0x20_0000 ? high * 0x1_0000_0000 + view.getUint32(at, true) : -1;
}

function indexAt(view: DataView, at: number): LogIndex {
  return logIndex(getU64(view, at)) ?? (0 as LogIndex);
}

function termAt(view: DataView, at: number): Term {
  return termOf(getU64(view, at)) ?? (0 as Term);
}
