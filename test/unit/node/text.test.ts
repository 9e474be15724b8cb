import fc from "fast-check";
import { expect, test } from "vitest";

import { decodeUtf8, encodeUtf8 } from "../../../src/base/bytes.js";
import { useNodeText } from "../../../src/node/text.js";

test("Node's decoder gives the texts that ours gives, of any length, and takes no more than it does", () => {
  const texts = fc.oneof(
    fc.string({ maxLength: 600, size: "max" }),
    fc.string({ unit: "grapheme", maxLength: 300, size: "max" }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(texts.map(encodeUtf8), fc.uint8Array({ maxLength: 300, size: "max" })), { minLength: 8 }),
      (all) => {
        known.push(...all.map((bytes) => [bytes, decodeUtf8(bytes)] as const));
      },
    ),
    { seed: 20_261_129, numRuns: 300 },
  );
  useNodeText();
  for (const [bytes, text] of known) expect(decodeUtf8(bytes)).toBe(text);
  expect(known.some(([bytes, text]) => bytes.length > 256 && text?.length === bytes.length)).toBe(true);
});

const known: (readonly [Uint8Array, string | undefined])[] = [];
