/** Fingerprints of long texts: from the text or its bytes, with the platform's functions and without, they are the same, and every letter counts. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Mixer, type Fingerprint } from "../../../src/base/fingerprint.js";
import { useNodeText } from "../../../src/node/text.js";

const seed = 20_261_128;
/** Around the length from which on texts are mixed otherwise, and around the ends of the pieces in which they are. */
const length = fc.oneof(
  fc.integer({ min: 240, max: 300 }),
  fc.integer({ min: 16_370, max: 16_400 }),
  fc.constant(40_003),
);
const longText = length.chain((count) =>
  fc
    .string({
      unit: fc.integer({ min: 0, max: 127 }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 20,
    })
    .map((unit) => unit.repeat(Math.ceil(count / unit.length)).slice(0, count)),
);

const ofText = (text: string): Fingerprint => new Mixer().begin().text(text).end().keep();

function ofBytes(text: string, offset: number): Fingerprint | undefined {
  const bytes = new Uint8Array(Buffer.from("-".repeat(offset) + text));
  const mixer = new Mixer().begin();
  return mixer.ascii(bytes, offset, bytes.length) ? mixer.end().keep() : undefined;
}

test("a long text and its bytes have one fingerprint, with the platform's functions and without", () => {
  const own: Fingerprint[] = [];
  const all = () =>
    fc.assert(
      fc.property(longText, fc.nat(9), (text, offset) => {
        const fingerprint = ofText(text);
        own.push(fingerprint);
        expect(ofBytes(text, offset)).toEqual(fingerprint);
      }),
      { seed, numRuns: 60 },
    );
  all();
  const before = own.splice(0);
  useNodeText();
  all();
  expect(own).toEqual(before);
});

test("a letter that is not ASCII, anywhere in a long text, is noticed in its bytes, and counts", () => {
  fc.assert(
    fc.property(longText, fc.nat(), fc.constantFrom("\u0080", "é", "\u2028", "\ud800", "😀"), (text, place, letter) => {
      const at = place % text.length;
      const other = text.slice(0, at) + letter + text.slice(at + 1);
      expect(ofBytes(other, 0)).toBeUndefined();
      expect(ofText(other)).toEqual(ofText(other));
      expect(ofText(other)).not.toEqual(ofText(text));
    }),
    { seed, numRuns: 60 },
  );
});

test("each bit of each letter counts, and so does the order of letters and words", () => {
  const text = readFileSync(new URL("../../../package-lock.json", import.meta.url), "latin1").slice(0, 603);
  const seen = new Set([JSON.stringify(ofText(text))]);
  let others = 0;
  const add = (other: string): void => {
    if (other === text) return;
    others += 1;
    seen.add(JSON.stringify(ofText(other)));
  };
  for (let at = 0; at < text.length; at += 1)
    for (let bit = 0; bit < 7; bit += 1)
      add(text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << bit)) + text.slice(at + 1));
  for (const step of [1, 4, 8])
    for (let at = 0; at + 2 * step <= text.length; at += step) {
      const [one, next] = [text.slice(at, at + step), text.slice(at + step, at + 2 * step)];
      if (one !== next) add(text.slice(0, at) + next + one + text.slice(at + 2 * step));
    }
  for (let end = 256; end < text.length; end += 1) add(text.slice(0, end));

  expect(others).toBeGreaterThan(5_000);
  // Some of these are the same text twice.
  expect(seen.size).toBeGreaterThan(others - 50);
});
