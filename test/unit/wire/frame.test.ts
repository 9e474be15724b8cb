import fc from "fast-check";
import { expect, test } from "vitest";

import { nodeHash } from "../../../src/node/hash.js";
import { FrameReader, FrameWriter, frameHeaderBytes, type Message } from "../../../src/wire/frame.js";

const seed = 20261123;
const limits = { frameBytesMax: 1 << 16 };

function frameOf(messages: readonly Message[]): Uint8Array {
  const writer = new FrameWriter(nodeHash);
  messages.forEach(({ type, payload }, at) => {
    if (at % 2 === 0) writer.add(type, payload);
    else writer.addWritten(type, payload, (into, bytes) => into.raw(bytes));
  });
  return writer.finish();
}

const someMessages = fc.array(fc.record({ type: fc.nat(255), payload: fc.uint8Array({ maxLength: 300 }) }), {
  minLength: 1,
  maxLength: 8,
});

test("messages come out as they went in, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(someMessages, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 700 }),
      (frames, step) => {
        const stream = Buffer.concat(frames.map(frameOf));
        const reader = new FrameReader(nodeHash, limits);
        const seen: Message[] = [];
        for (let at = 0; at < stream.length; at += step) {
          expect(reader.push(stream.subarray(at, at + step), (message) => seen.push(message))).toBeUndefined();
        }
        expect(seen.map(({ type, payload }) => [type, [...payload]])).toEqual(
          frames.flat().map(({ type, payload }) => [type, [...payload]]),
        );
      },
    ),
    { seed },
  );
});

test("a flipped bit anywhere in a frame gives out nothing of it (T2)", () => {
  const frame = frameOf([{ type: 3, payload: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]) }]);
  for (let bit = 0; bit < frame.length * 8; bit += 1) {
    const damaged = Uint8Array.from(frame);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const seen: Message[] = [];
    const reader = new FrameReader(nodeHash, limits);
    const failure = reader.push(damaged, (message) => seen.push(message));

    expect(seen).toEqual([]);
    // A longer length waits for bytes that never come; everything else is seen at once.
    if (bit >= 32) expect(failure).toBe("wrong checksum");
  }
});

test("a length over the limit is refused from its header alone, before anything is kept for it", () => {
  const header = new Uint8Array(frameHeaderBytes);
  new DataView(header.buffer).setUint32(0, 0x7fff_ffff, true);
  const reader = new FrameReader(nodeHash, limits);

  expect(reader.push(header, () => {})).toBe("frame too large");
});

test("garbage is refused or waits for more, and never throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const seen: Message[] = [];
      new FrameReader(nodeHash, limits).push(bytes, (message) => seen.push(message));
      expect(seen).toEqual([]);
    }),
    { seed, numRuns: 2000 },
  );
});

test("a writer that was finished begins an empty frame", () => {
  const writer = new FrameWriter(nodeHash);
  writer.add(1, new Uint8Array(10));
  writer.finish();

  expect(writer.isEmpty).toBe(true);
  expect(writer.bodyBytes).toBe(0);
});
