/** What replicas say and write under Byzantine faults survives the codec; foreign bytes never throw; one value has one form. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { nodeHash } from "../../src/node/hash.js";
import {
  decodeBftMessage,
  decodeBftRecord,
  decodeStatement,
  encodeBftMessage,
  encodeBftRecord,
  encodeStatement,
} from "../../src/wire/bft-codec.js";
import { decodeBatch, encodeRequest } from "../../src/wire/request-codec.js";
import { decodeBundle, decodeBundles, encodeBundles, plainBatch } from "../../src/wire/signed-batch.js";
import { batch, bftLimits, bundle, message, record, statement } from "../../test-support/arbitrary-bft.js";

const seed = 20_261_128;

/** Changed, cut, longer, or of nobody's making. */
function damaged(whole: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const changed = fc
    .record({ whole, at: fc.nat(), to: fc.nat(255), cut: fc.nat(3), more: fc.uint8Array({ maxLength: 2 }) })
    .map(({ whole: bytes, at, to, cut, more }) => {
      const copy = [...bytes];
      copy[at % copy.length] = to;
      return Uint8Array.from([...copy.slice(0, copy.length - cut), ...more]);
    });
  return fc.oneof({ weight: 4, arbitrary: changed }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 120 }) });
}

/** Decoding is total, and what it takes has no other form. Answers how many of the damaged ones were taken. */
function holdsOneForm<Value>(
  whole: fc.Arbitrary<Uint8Array>,
  decode: (bytes: Uint8Array) => Value | undefined,
  encode: (value: Value) => Uint8Array,
): number {
  let taken = 0;
  fc.assert(
    fc.property(damaged(whole), (bytes) => {
      const decoded = decode(bytes);
      if (decoded === undefined) return;
      taken += 1;
      expect(Buffer.from(encode(decoded)).equals(Buffer.from(bytes))).toBe(true);
    }),
    { numRuns: 3000, seed },
  );
  return taken;
}

test("a message is decoded to what was encoded", () => {
  fc.assert(
    fc.property(message, (original) => {
      expect(decodeBftMessage(encodeBftMessage(original), bftLimits, nodeHash)).toEqual(original);
    }),
    { numRuns: 400, seed },
  );
});

test("a record is decoded to what was encoded", () => {
  fc.assert(
    fc.property(record, (original) => {
      expect(decodeBftRecord(encodeBftRecord(original), bftLimits, nodeHash)).toEqual(original);
    }),
    { numRuns: 400, seed },
  );
});

test("nothing that was decoded keeps the bytes that it came in", () => {
  fc.assert(
    fc.property(message, (original) => {
      const bytes = new Uint8Array(encodeBftMessage(original));
      const decoded = decodeBftMessage(Buffer.from(bytes.buffer), bftLimits, nodeHash);
      bytes.fill(0xff);
      expect(decoded).toEqual(original);
    }),
    { numRuns: 300, seed },
  );
});

test("two different statements have different bytes", () => {
  fc.assert(
    fc.property(statement, statement, (one, other) => {
      const same = Buffer.from(encodeStatement(one)).equals(Buffer.from(encodeStatement(other)));
      expect(decodeStatement(encodeStatement(one), bftLimits)).toEqual(one);
      if (same) expect(one).toEqual(other);
    }),
    { numRuns: 400, seed },
  );
});

test("whatever bytes are taken for a message, it has no other form", () => {
  const taken = holdsOneForm(
    message.map(encodeBftMessage),
    (bytes) => decodeBftMessage(bytes, bftLimits, nodeHash),
    encodeBftMessage,
  );

  // Most changed bytes are of signatures and digests, which any bytes may be.
  expect(taken).toBeGreaterThan(300);
});

test("whatever bytes are taken for a record, it has no other form", () => {
  const taken = holdsOneForm(
    record.map(encodeBftRecord),
    (bytes) => decodeBftRecord(bytes, bftLimits, nodeHash),
    encodeBftRecord,
  );

  expect(taken).toBeGreaterThan(300);
});

test("a payload of bundles has one form, and a bundle keeps its bytes in it", () => {
  fc.assert(
    fc.property(fc.array(bundle, { minLength: 1, maxLength: 4 }), (bundles) => {
      const decoded = decodeBundles(encodeBundles(bundles), bftLimits, nodeHash);
      expect(decoded).toEqual(bundles.map((bytes) => decodeBundle(bytes, bftLimits, nodeHash)));
      expect(decoded).not.toContain(undefined);
      const executed = decodeBatch(plainBatch(encodeBundles(bundles)));
      expect(executed?.map(encodeRequest)).toEqual(decoded?.flatMap(({ requests }) => requests));
    }),
    { numRuns: 500, seed },
  );
});

test("no byte of a batch can change without another digest", () => {
  fc.assert(
    fc.property(batch, fc.nat(), fc.nat(7), (original, at, bit) => {
      const bytes = encodeBftMessage({ kind: "FetchedBatch", batch: original }).slice();
      const place = 1 + (at % (bytes.length - 1));
      bytes[place] = (bytes[place] ?? 0) ^ (1 << bit);
      const decoded = decodeBftMessage(bytes, bftLimits, nodeHash);
      if (decoded?.kind === "FetchedBatch") expect(decoded.batch.digest).not.toBe(original.digest);
    }),
    { numRuns: 2000, seed },
  );
});
