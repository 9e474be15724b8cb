import { expect, test } from "vitest";
import { nodeHash } from "../../../src/node/hash.js";

const text = new TextEncoder().encode("what came before");

test("nothing leaves a checksum as it is, whatever the empty array is made of", () => {
  const before = nodeHash.crc32(text);
  const touched = new Uint8Array(0);
  // An array that is asked for its buffer gets one, which for no bytes lies nowhere.
  expect(touched.buffer.byteLength).toBe(0);
  const empty = [
    new Uint8Array(0),
    touched,
    new Uint8Array(new ArrayBuffer(0)),
    structuredClone(new Uint8Array(0)),
    text.subarray(3, 3),
    Buffer.alloc(0),
  ];

  expect(empty.map((bytes) => nodeHash.crc32(bytes, before))).toEqual(empty.map(() => before));
  expect(empty.map((bytes) => nodeHash.crc32(bytes))).toEqual(empty.map(() => 0));
});

test("a checksum in pieces is that of the whole", () => {
  expect(nodeHash.crc32(text.subarray(4), nodeHash.crc32(text.subarray(0, 4)))).toBe(nodeHash.crc32(text));
});
