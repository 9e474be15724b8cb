/**
 * Finds the records in the bytes of a segment, also behind damage.
 *
 * Owns: the walk from record to record and the search for the next one where the walk fails. Leaves to others: what a gap
 * means (`wal-recovery.ts`). A length is believed only from a header whose checksum holds, and never beyond the segment, so no
 * damaged length makes us read or allocate more (hazard D7). Memory is bounded by the segment.
 */
import type { FormatContext, RecordHeader } from "./wal-format.js";
import {
  bodyChecksum,
  decodeRecordHeader,
  mayBeginRecord,
  recordBytes,
  recordHeaderBytes,
  segmentHeaderBytes,
} from "./wal-format.js";

export interface ScannedRecord {
  readonly header: RecordHeader;
  /** A view of the segment's bytes, valid until the next segment is read; undefined if the checksum does not match. */
  readonly body: Uint8Array | undefined;
  /** Position behind the record. */
  readonly end: number;
}

/** Records in the order of their positions; what lies between two of them is unreadable or was never written. */
export function* scanSegment(bytes: Uint8Array, base: number, context: FormatContext): Generator<ScannedRecord, void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = segmentHeaderBytes;
  while (at + recordHeaderBytes <= bytes.length) {
    const header = mayBeginRecord(view, at) ? decodeRecordHeader(bytes, at, base + at, context) : undefined;
    if (header === undefined) {
      at += 8;
      continue;
    }
    const length = recordBytes(header.bodyBytes);
    const start = at + recordHeaderBytes;
    const body = bytes.subarray(start, start + header.bodyBytes);
    const whole = body.length === header.bodyBytes && bodyChecksum(context.hash, header, body) === header.bodyChecksum;
    yield { header, body: whole ? body : undefined, end: base + at + length };
    at += length;
  }
}
