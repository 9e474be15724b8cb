/**
 * A trie that is built at once is the one that putting its entries one by one gives, and its entries have the same fingerprints, made from
 * their bytes or from what these hold (M1).
 */
import fc from "fast-check";
import { expect, test } from "vitest";

import { equalFingerprints, type Fingerprint } from "../../src/base/fingerprint.js";
import { doAll } from "../../src/base/steps.js";
import { ByteReader, concatBytes, hexOf } from "../../src/base/bytes.js";
import { encodedEnd, fingerprintOfEncoded, fingerprintOfEntry } from "../../src/collections/entry-fingerprint.js";
import { entriesOf, HashTrie, newEntry } from "../../src/collections/hash-trie.js";
import { compareKeys, positionOf } from "../../src/collections/key.js";
import { PackedEntry } from "../../src/collections/packed-entry.js";
import { digestOfTrie } from "../../src/collections/trie-digest.js";
import { TrieBuilder } from "../../src/collections/trie-builder.js";
import { nodeHash } from "../../src/node/hash.js";
import { decodeValue, encodeValue, readValue } from "../../src/wire/canonical.js";
import { collidingNumbers } from "../../test-support/colliding-keys.js";
import { plainData } from "../../test-support/plain-data.js";

const seed = 20_261_129;

type TestKey = string | number | readonly (string | number)[];
type Pair = readonly [TestKey, unknown];

const scalar = fc.oneof(
  fc.integer({ min: -5, max: 4_000 }),
  fc.constantFrom(...collidingNumbers()),
  fc.constantFrom("a", "b", "10", "é", ""),
);
const key: fc.Arbitrary<TestKey> = fc.oneof({ weight: 5, arbitrary: scalar }, fc.tuple(scalar, scalar));
const pairs = fc.array(fc.tuple(key, plainData), { maxLength: 400, size: "max" });

test("entries in their order, out of it and more than once: built or put one by one, the trie is the same", () => {
  fc.assert(
    fc.property(pairs, fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 3 }), pairs, (content, swaps, later) => {
      const ordered = inOrder(content);
      for (const [one, other] of swaps) swap(ordered, one, other);
      const put = new HashTrie();
      const builder = new TrieBuilder(new HashTrie().snapshot());
      for (const [each, value] of ordered) {
        put.put(each, value, false);
        builder.put(newEntry(each, value, false), fingerprintOfEntry(each, value));
      }
      const built = builder.finish();

      expectSame(built, put);
      for (const [each, value] of later) {
        for (const trie of [built, put]) {
          trie.remove(each);
          if (value !== null) trie.put(each, value, false);
        }
      }
      expectSame(built, put);
    }),
    { seed, numRuns: 100 },
  );
}, 60_000);

test("many entries: a built trie has their order and takes what comes later", () => {
  const numbers = inOrder(Array.from({ length: 40_000 }, (_, at) => [at, at] as const));
  const put = new HashTrie();
  const builder = new TrieBuilder(new HashTrie().snapshot());
  for (const [each, value] of numbers) {
    put.put(each, value, false);
    builder.put(newEntry(each, value, false), fingerprintOfEntry(each, value));
  }
  const built = builder.finish();

  expectSame(built, put);
  for (let at = 0; at < 40_000; at += 7) for (const trie of [built, put]) trie.remove(at);
  expectSame(built, put);
});

test("what a collection begins with stays, unless an entry replaces it", () => {
  const initial = new HashTrie();
  initial.put("first", "of the declaration", false);
  const builder = new TrieBuilder(initial.snapshot());
  builder.put(newEntry("second", 2, false), fingerprintOfEntry("second", 2));
  builder.put(newEntry("first", 1, false), fingerprintOfEntry("first", 1));
  const expected = new HashTrie();
  expected.put("first", 1, false);
  expected.put("second", 2, false);

  expectSame(builder.finish(), expected);
  expectSame(new TrieBuilder(initial.snapshot()).finish(), initial);
  expect(initial.size).toBe(1);
});

test("a fingerprint of bytes is that of what they hold, or none is made", () => {
  fc.assert(
    fc.property(key, plainData, (each, value) => {
      const bytes = concatBytes([new Uint8Array(3), encodeValue(each), encodeValue(value)]);
      const encoded = kept(fingerprintOfEncoded(bytes, 3));
      if (encoded === undefined) return;
      expect(equalFingerprints(encoded, fingerprintOfEntry(each, decodeValue(encodeValue(value))))).toBe(true);
    }),
    { seed, numRuns: 3_000 },
  );
});

test("bytes of which a fingerprint is made are canonical, however they were damaged, and end where it ends", () => {
  const damage = fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }), cut: fc.nat({ max: 3 }) });
  let made = 0;
  fc.assert(
    fc.property(key, plainData, fc.array(damage, { maxLength: 2 }), (each, value, damages) => {
      let bytes = concatBytes([encodeValue(each), encodeValue(value)]);
      for (const { at, byte, cut } of damages) {
        bytes[at % bytes.length] = byte;
        if (cut === 0) bytes = bytes.slice(0, -1);
        if (bytes.length === 0) return;
      }
      const encoded = kept(fingerprintOfEncoded(bytes, 0));
      const end = encodedEnd();
      if (encoded === undefined) return;
      made += 1;
      const reader = new ByteReader(bytes);
      const entry = [readValue(reader), readValue(reader)] as const;
      expect(reader.failed).toBe(false);
      expect(reader.position).toBe(end);
      expect(equalFingerprints(encoded, fingerprintOfEntry(...entry))).toBe(true);
    }),
    { seed, numRuns: 20_000 },
  );
  expect(made).toBeGreaterThan(1_000);
});

test.each([
  ["names out of order", [12, 2, 1, 0x62, 1, 1, 0x61, 1]],
  ["a name twice", [12, 2, 1, 0x61, 1, 1, 0x61, 1]],
  ["a number that is longer than it must be", [4, 0x81, 0]],
  ["a number beyond the safe ones", [4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
  ["text that ends early", [9, 3, 0x61, 0x61]],
  ["an array of more than there is", [11, 0xff, 0xff, 0xff, 0x7f]],
  ["undefined in an array", [11, 1, 0]],
  ["what is nested too deeply", [...Array.from({ length: 65 }, () => [11, 1]).flat(), 1]],
])("none is made of %s", (_, value) => {
  const bytes = Uint8Array.from([9, 1, 0x6b, ...value]);
  const reader = new ByteReader(bytes, 3);
  readValue(reader);

  expect(reader.failed).toBe(true);
  expect(fingerprintOfEncoded(bytes, 0)).toBeUndefined();
});

test.each([
  ["text", "key:000000000001", "v".repeat(100)],
  ["text of every short length", "", ["", "a", "ab", "abc", "abcd", "abcde"]],
  ["numbers", 0, [1, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1]],
  ["nothing and truth", true, [null, false, true]],
  ["objects", ["tuple", 7], { changedAt: 7, kind: "string", value: { nested: {} } }],
  ["an absent value", "key", undefined],
])("it is made for %s", (_, each, value) => {
  const bytes = concatBytes([encodeValue(each), encodeValue(value)]);
  const encoded = kept(fingerprintOfEncoded(bytes, 0));

  expect(encoded).toEqual(kept(fingerprintOfEntry(each, value)));
});

test.each([
  ["text that is not ASCII", { a: "é" }],
  ["a letter that is not ASCII behind an even number of others", ["abcdé"]],
  ["names that are indexes, whose order is JavaScript's own", { 10: "ten", 9: "nine" }],
  ["a number below 0", -1],
  ["a fraction", 0.5],
  ["a bigint", 1n],
  ["bytes", new Uint8Array(3)],
])("it is not made for %s", (_, value) => {
  expect(fingerprintOfEncoded(concatBytes([encodeValue("key"), encodeValue(value)]), 0)).toBeUndefined();
});

test("a value that is still packed is what was written, and a bit that flips in it is found by a scrub", () => {
  const value = { changedAt: 300, kind: "string", value: "v".repeat(60), list: [1, true, null] };
  const bytes = encodeValue(value);
  for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
    const packed = bytes.slice();
    const builder = new TrieBuilder(new HashTrie().snapshot());
    builder.put(new PackedEntry("key", packed, 0), fingerprintOfEntry("key", decodeValue(bytes)));
    const trie = builder.finish();
    packed[bit >> 3] = (packed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(doAll(trie.scrubbing())).toBe(false);
  }

  const entry = new PackedEntry("key", bytes, 0);
  const first = entry.value;
  expect(first).toEqual(value);
  expect(Object.isFrozen(first)).toBe(true);
  bytes.fill(0);
  expect(entry.value).toBe(first);
});

/** A fingerprint is valid until the next one is made. */
function kept(fingerprint: Fingerprint | undefined): Fingerprint | undefined {
  return fingerprint === undefined ? undefined : { high: fingerprint.high, low: fingerprint.low };
}

/** As a snapshot has them. */
function inOrder(content: readonly Pair[]): Pair[] {
  const last = new Map(content.map((pair) => [hexOf(encodeValue(pair[0])), pair]));
  return [...last.values()].sort(([one], [other]) => positionOf(one) - positionOf(other) || compareKeys(one, other));
}

function swap(list: Pair[], one: number, other: number): void {
  const [left, right] = [list[one % list.length], list[other % list.length]];
  if (left === undefined || right === undefined) return;
  // One of them is there twice then, in the first place and in its own.
  list[one % list.length] = right;
}

function expectSame(one: HashTrie, other: HashTrie): void {
  expect(one.size).toBe(other.size);
  expect(equalFingerprints(one.fingerprint, other.fingerprint)).toBe(true);
  expect(hexOf(digestOfTrie(one.view().root, nodeHash))).toBe(hexOf(digestOfTrie(other.view().root, nodeHash)));
  expect([...entriesOf(one.view().root)].map(({ key: each }) => each)).toEqual(
    [...entriesOf(other.view().root)].map(({ key: each }) => each),
  );
  expect(doAll(one.scrubbing())).toBe(true);
}
