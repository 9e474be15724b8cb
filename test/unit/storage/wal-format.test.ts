/** The bytes of the log: what is written is read back, and every bit of a header is covered by a checksum. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RecordHeader, RecordIdentity, RecordKind } from "../../../src/storage/wal-format.js";
import {
  decodeIdentities,
  decodeRecordHeader,
  decodeSegmentHeader,
  encodeIdentities,
  encodeRecordHeader,
  encodeSegmentHeader,
  entryChecksum,
  recordBytes,
  recordHeaderBytes,
} from "../../../src/storage/wal-format.js";
import { entryAt, indexOf, logIdentity, termOf, testHash } from "../../../test-support/log-world.js";

const context = { hash: testHash, logIdentity };
const kind = fc.constantFrom<RecordKind>("noop", "batch", "time", "report", "truncate", "marker", "identities");
const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1 });
const small = fc.nat(0xffff_ffff);

function identity(ordinal: fc.Arbitrary<number>, position: fc.Arbitrary<number>): fc.Arbitrary<RecordIdentity> {
  const fields = { ordinal, position, kind, index: count.map(indexOf), term: count.map(termOf) };
  return fc.record({ ...fields, bodyBytes: small, bodyChecksum: small });
}

const header: fc.Arbitrary<RecordHeader> = fc
  .record({
    own: identity(count, count),
    previous: identity(count, count),
    time: fc.double({ noNaN: true, noDefaultInfinity: true }),
    back: fc.nat(1000),
    hardStateSequence: small,
  })
  .map(({ own, previous, time, back, hardStateSequence }) => ({
    ...own,
    time,
    previousPosition: Math.max(0, own.position - 1 - back),
    syncedUpTo: Math.max(0, own.position - back),
    hardStateSequence,
    previous: {
      ...previous,
      ordinal: own.kind === "marker" || own.kind === "identities" ? own.ordinal : own.ordinal - 1,
    },
  }));

function encoded(record: RecordHeader): Uint8Array {
  const bytes = new Uint8Array(recordHeaderBytes + 16);
  encodeRecordHeader(bytes, 8, record, context);
  return bytes;
}

describe("wal-format", () => {
  test("a record's header is read back as it was written, at its own position only", () => {
    fc.assert(
      fc.property(header, (record) => {
        const bytes = encoded(record);

        expect(decodeRecordHeader(bytes, 8, record.position, context)).toEqual(record);
        expect(decodeRecordHeader(bytes, 8, record.position + 8, context)).toBeUndefined();
        expect(decodeRecordHeader(bytes.subarray(0, 60), 8, record.position, context)).toBeUndefined();
      }),
      { seed: 20_262, numRuns: 300 },
    );
  });

  test("a header with any bit flipped is no header", () => {
    const [record] = fc.sample(header, { seed: 20_263, numRuns: 1 });
    if (record === undefined) throw new Error("no sample");
    for (let bit = 0; bit < recordHeaderBytes * 8; bit += 1) {
      const bytes = encoded(record);
      const at = 8 + (bit >> 3);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));

      expect(decodeRecordHeader(bytes, 8, record.position, context)).toBeUndefined();
    }
  });

  test("W1, W2: a record that claims what follows it, or points ahead, is our own bug", () => {
    const [record] = fc.sample(header, { seed: 20_264, numRuns: 1 });
    if (record === undefined) throw new Error("no sample");

    expect(() => encoded({ ...record, syncedUpTo: record.position + 8 })).toThrow("W1");
    expect(() => encoded({ ...record, previousPosition: record.position })).toThrow("W2");
  });

  test("a table of identities is read back, and a malformed one is nothing", () => {
    const table = Array.from({ length: 100 }, (_, at): RecordIdentity => ({
      ordinal: 500 + at,
      position: 4096 + at * 136,
      kind: at % 9 === 0 ? "truncate" : "batch",
      index: indexOf(400 + at),
      term: termOf(3),
      bodyBytes: at,
      bodyChecksum: 0xdead_0000 + at,
    }));
    const bytes = encodeIdentities(table);

    expect(decodeIdentities(bytes)).toEqual(table);
    expect(decodeIdentities(encodeIdentities([]))).toEqual([]);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeIdentities(bytes.subarray(0, length))).toBeUndefined();
    }
  });

  test("a segment's header tells its place, and is damaged, foreign or newer otherwise", () => {
    const written = { version: 1, sequence: 7, base: 65_536, bytes: 4096 };
    const bytes = encodeSegmentHeader(written, context);
    const other = { hash: testHash, logIdentity: new Uint8Array(8) };
    const newer = encodeSegmentHeader({ ...written, version: 2 }, context);
    const flipped = bytes.slice();
    flipped[30] = 1;

    expect(decodeSegmentHeader(bytes, context)).toEqual({ kind: "segment", header: written });
    expect(decodeSegmentHeader(bytes, other)).toEqual({ kind: "foreign" });
    expect(decodeSegmentHeader(newer, context)).toEqual({ kind: "newer", version: 2 });
    expect(decodeSegmentHeader(flipped, context)).toEqual({ kind: "damaged" });
    expect(decodeSegmentHeader(bytes.subarray(0, 100), context)).toEqual({ kind: "damaged" });
  });

  test("an entry's checksum covers its name and time as well as its payload", () => {
    const entry = entryAt(5, 2, "payload");
    const others = [
      { ...entry, index: indexOf(6) },
      { ...entry, term: termOf(3) },
      { ...entry, time: entry.time + 1 },
      { ...entry, kind: "noop" as const },
      entryAt(5, 2, "Payload"),
    ];

    const checksums = others.map((other) => entryChecksum(testHash, other));
    expect(checksums).not.toContain(entryChecksum(testHash, entry));
  });

  test("records begin at every eighth byte", () => {
    for (let length = 0; length < 20; length += 1) {
      expect(recordBytes(length) % 8).toBe(0);
      expect(recordBytes(length) - recordHeaderBytes - length).toBeLessThan(8);
    }
  });
});
