/** The simulator's hashes are the operating system's, for every length, place in a buffer and division into parts. */
import { describe, expect, test } from "vitest";
import { hexOf } from "../../../src/base/bytes.js";
import { nextBetween, nextUint32, randomStream } from "../../../src/base/random.js";
import { nodeHash } from "../../../src/node/hash.js";
import { simHash } from "../../../src/sim/sim-hash.js";

const seed = 20_261_127;

/** A view of random bytes that begins anywhere in its buffer. */
function randomBytes(name: string, length: number): Uint8Array {
  const random = randomStream(seed, name);
  const offset = nextBetween(random, 0, 9);
  const buffer = new Uint8Array(offset + length + 5);
  for (let at = 0; at < buffer.length; at += 1) buffer[at] = nextUint32(random);
  return buffer.subarray(offset, offset + length);
}

const lengths = [...new Array(300).keys(), 511, 512, 513, 4095, 4096, 4097, 65_536, 100_003];

describe("the hashes of the simulator", () => {
  test("crc32 is the system's at every length and offset", () => {
    for (const length of lengths) {
      const bytes = randomBytes(`crc ${length}`, length);
      expect(simHash.crc32(bytes), `${length} bytes`).toBe(nodeHash.crc32(bytes));
    }
  });

  test("crc32 goes on from any previous one, as the system's does", () => {
    const random = randomStream(seed, "continuation");
    for (let round = 0; round < 300; round += 1) {
      const bytes = randomBytes(`continued ${round}`, nextBetween(random, 0, 400));
      const cut = nextBetween(random, 0, bytes.length);
      const first = simHash.crc32(bytes.subarray(0, cut));
      const arbitrary = nextUint32(random);

      expect(simHash.crc32(bytes.subarray(cut), first)).toBe(nodeHash.crc32(bytes));
      expect(simHash.crc32(bytes, arbitrary)).toBe(nodeHash.crc32(bytes, arbitrary));
      expect(simHash.crc32(bytes, 0)).toBe(simHash.crc32(bytes));
    }
  });

  test("crc32 of bytes with the highest bits set is unsigned", () => {
    const bytes = new Uint8Array(64).fill(0xff);

    for (let length = 0; length <= 64; length += 1) {
      const part = bytes.subarray(0, length);
      expect(simHash.crc32(part)).toBe(nodeHash.crc32(part));
      expect(simHash.crc32(part)).toBeGreaterThanOrEqual(0);
    }
  });

  test("sha256 is the system's at every length and offset", () => {
    for (const length of lengths) {
      const bytes = randomBytes(`sha ${length}`, length);
      expect(hexOf(simHash.sha256(bytes)), `${length} bytes`).toBe(hexOf(nodeHash.sha256(bytes)));
    }
  });

  test("sha256 gives every answer in bytes of its own and keeps nothing of the message before", () => {
    const first = simHash.sha256(randomBytes("first", 200));
    const kept = hexOf(first);
    const second = simHash.sha256(new Uint8Array(0));

    expect(hexOf(first)).toBe(kept);
    expect(hexOf(second)).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("sha256 of a million times a is the one of FIPS 180", () => {
    const bytes = new Uint8Array(1_000_000).fill(0x61);

    expect(hexOf(simHash.sha256(bytes))).toBe("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  });
});
