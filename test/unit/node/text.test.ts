import fc from "fast-check";
import { expect, test } from "vitest";

import { ByteWriter, decodeUtf8, encodeUtf8 } from "../../../src/base/bytes.js";
import { useNodeText } from "../../../src/node/text.js";
import { encodeValue, encodeValueToSend } from "../../../src/wire/canonical.js";

const anyText = fc.oneof(
  fc.string({ maxLength: 600, size: "max" }),
  fc.string({ unit: "grapheme", maxLength: 300, size: "max" }),
  // Nearly all ASCII: what is not may stand anywhere, and be half of a pair.
  fc
    .tuple(fc.string({ maxLength: 300, size: "max" }), fc.string({ unit: "binary", maxLength: 2 }), fc.nat(300))
    .map(([text, odd, at]) => text.slice(0, at) + odd + text.slice(at)),
);

/** `text` between neighbours in a writer that has more room, and in one that has not. */
function written(text: string): readonly Uint8Array[] {
  return [16, 4_096].map((capacity) => {
    const writer = new ByteWriter(capacity);
    const neighbour = new ByteWriter(8);
    neighbour.u64(Number.MAX_SAFE_INTEGER);
    writer.u8(7);
    const isAscii = writer.asciiText(text);
    if (!isAscii) writer.text(text);
    writer.u8(isAscii ? 1 : 0);
    expect(neighbour.finish()).toEqual(untouched);
    return writer.finish();
  });
}

const untouched = (() => {
  const writer = new ByteWriter(8);
  writer.u64(Number.MAX_SAFE_INTEGER);
  return writer.finish();
})();

test("Node's functions read and write the texts that ours do, of any length, and take no more than they do", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(anyText.map(encodeUtf8), fc.uint8Array({ maxLength: 300, size: "max" })), { minLength: 8 }),
      fc.array(anyText, { minLength: 4 }),
      (all, texts) => {
        known.push(...all.map((bytes) => [bytes, decodeUtf8(bytes)] as const));
        ours.push(...texts.map((text) => [text, written(text)] as const));
      },
    ),
    { seed: 20_261_129, numRuns: 200 },
  );
  useNodeText();
  for (const [bytes, text] of known) expect(decodeUtf8(bytes)).toBe(text);
  for (const [text, bytes] of ours) expect(written(text)).toEqual(bytes);
  expect(known.some(([bytes, text]) => bytes.length > 512 && text?.length === bytes.length)).toBe(true);
  expect(known.some(([bytes, text]) => bytes.length > 512 && (text?.length ?? 0) < bytes.length)).toBe(true);
  expect(ours.some(([text, [bytes]]) => text.length > 48 && bytes?.at(-1) === 1)).toBe(true);
  expect(ours.some(([text, [bytes]]) => text.length > 48 && bytes?.at(-1) === 0)).toBe(true);
});

test("what is encoded to be sent has the same bytes, beside what was encoded before it", () => {
  useNodeText();
  const values = [{ key: "k", value: "v".repeat(3_000) }, "short", [1, "ä".repeat(100)], undefined];

  const sent = values.map(encodeValueToSend);

  expect(sent).toEqual(values.map((value) => encodeValue(value)));
});

const known: (readonly [Uint8Array, string | undefined])[] = [];
const ours: (readonly [string, readonly Uint8Array[]])[] = [];
