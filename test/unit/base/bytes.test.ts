import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { ByteReader, ByteWriter, compareBytes, decodeUtf8, encodeUtf8, equalBytes } from "../../../src/base/bytes.js";
import { utf8Length } from "../../../src/base/utf8.js";
import { shortLivedBytes } from "../../../src/base/slab.js";

const seed = 20261123;

describe("numbers", () => {
  test("a varint of any safe integer reads back, in its shortest form only", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const writer = new ByteWriter(1);
        writer.varint(value);
        const reader = new ByteReader(writer.finish());
        expect(reader.varint()).toBe(value);
        expect(reader.complete).toBe(true);
      }),
      { seed },
    );
    const padded = new ByteReader(new Uint8Array([0x81, 0x00]));
    padded.varint();
    expect(padded.failed).toBe(true);
  });

  test("a varint above the largest safe integer is refused", () => {
    const reader = new ByteReader(new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
    reader.varint();
    expect(reader.failed).toBe(true);
  });

  test("fixed numbers read back at their bounds", () => {
    const writer = new ByteWriter(1);
    writer.u8(255);
    writer.u16(65_535);
    writer.u32(0xffff_ffff);
    writer.u64(Number.MAX_SAFE_INTEGER);
    writer.f64(-0);
    const reader = new ByteReader(writer.finish());
    expect([reader.u8(), reader.u16(), reader.u32(), reader.u64()]).toEqual([
      255,
      65_535,
      0xffff_ffff,
      Number.MAX_SAFE_INTEGER,
    ]);
    expect(Object.is(reader.f64(), -0)).toBe(true);
    expect(reader.complete).toBe(true);
  });

  test("what writers hand over stays as it is, however they take turns and grow", () => {
    const texts = fc.array(
      fc.tuple(fc.nat({ max: 2 }), fc.string({ unit: "grapheme", maxLength: 400 }), fc.boolean()),
      {
        maxLength: 60,
      },
    );
    fc.assert(
      fc.property(texts, (steps) => {
        const writers = [new ByteWriter(0), new ByteWriter(16), new ByteWriter()];
        const written: string[][] = [[], [], []];
        const handedOver: { readonly bytes: Uint8Array; readonly texts: readonly string[] }[] = [];
        for (const [which, text, ends] of steps) {
          writers[which]?.text(text);
          written[which]?.push(text);
          if (!ends) continue;
          handedOver.push({ bytes: writers[which]?.handOver() ?? new Uint8Array(0), texts: written[which] ?? [] });
          written[which] = [];
        }
        for (const { bytes, texts: expected } of handedOver) {
          const reader = new ByteReader(bytes);
          expect(expected.map(() => reader.text())).toEqual(expected.map((text) => text));
          expect(reader.complete).toBe(true);
        }
      }),
      { seed },
    );
  });

  test("short-lived bytes are zeros, also where something was given back", () => {
    const writer = new ByteWriter();
    writer.u64(Number.MAX_SAFE_INTEGER);
    writer.reset();
    writer.handOver();
    expect([...shortLivedBytes(300)]).toEqual(Array.from({ length: 300 }, () => 0));
  });

  test("reading past the end fails once and for all, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        const reader = new ByteReader(bytes);
        for (let count = 0; count < 8; count += 1) {
          reader.varint();
          reader.text();
          reader.u64();
        }
        expect(reader.failed).toBe(true);
        expect(reader.u32()).toBe(0);
      }),
      { seed },
    );
  });
});

describe("text", () => {
  test("is joined across pieces, whatever lies on their border", () => {
    for (let before = 1020; before < 1030; before += 1) {
      const text = `${"a".repeat(before)}\u{1f600}é€${"b".repeat(2000)}\u{1f600}`;
      expect(decodeUtf8(encodeUtf8(text))).toBe(text);
    }
  });

  test("every well-formed string reads back, as the platform writes it", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const bytes = encodeUtf8(text);
        expect(equalBytes(bytes, new TextEncoder().encode(text))).toBe(true);
        expect(utf8Length(text)).toBe(bytes.length);
        expect(decodeUtf8(bytes)).toBe(text);
      }),
      { seed },
    );
  });

  test("bytes decode exactly when the platform's strict decoder takes them", () => {
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const platform = (bytes: Uint8Array): string | undefined => {
      try {
        return strict.decode(bytes);
      } catch {
        return undefined;
      }
    };
    const likely = fc.array(
      fc.constantFrom(0x41, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xa0, 0xed, 0xef, 0xf0, 0x90, 0xf4, 0xf5, 0xff),
    );
    fc.assert(
      fc.property(likely, (list) => {
        const bytes = Uint8Array.from(list);
        expect(decodeUtf8(bytes)).toBe(platform(bytes));
      }),
      { seed, numRuns: 2000 },
    );
  });

  test("a name is read as any text is, whichever names were read before it", () => {
    // Few bytes, so that many names are found where another was kept, and the same ones come again.
    const likely = fc.array(fc.constantFrom(0x41, 0x42, 0xc3, 0xa9, 0xe9), { maxLength: 5 });
    fc.assert(
      fc.property(fc.array(likely, { maxLength: 12 }), (lists) => {
        for (const list of lists) {
          const bytes = Uint8Array.from([list.length, ...list, 7]);
          const [reader, other] = [new ByteReader(bytes), new ByteReader(bytes)];
          expect(reader.name()).toBe(other.text());
          expect(reader.failed).toBe(other.failed);
          expect(reader.position).toBe(other.position);
        }
      }),
      { seed, numRuns: 2000 },
    );
    const cut = new ByteReader(Uint8Array.from([3, 0x41]));
    expect(cut.name()).toBe("");
    expect(cut.failed).toBe(true);
  });

  test("a name may be long, or one that objects already have", () => {
    for (const name of ["", "__proto__", "7", "a".repeat(64), "a".repeat(65), "a".repeat(300)])
      for (let time = 0; time < 2; time += 1) {
        const writer = new ByteWriter();
        writer.text(name);
        expect(new ByteReader(writer.peek()).name()).toBe(name);
      }
  });
});

test("bytes are ordered as their hexadecimal text is", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (left, right) => {
      const [a, b] = [Buffer.from(left).toString("hex"), Buffer.from(right).toString("hex")];
      expect(Math.sign(compareBytes(left, right))).toBe(a < b ? -1 : a > b ? 1 : 0);
    }),
    { seed },
  );
});

test("what a writer hands on whole is nobody else's, large or small", () => {
  for (const length of [3, 2_000, 5_000]) {
    const writer = new ByteWriter(length);
    for (let at = 0; at < length; at += 1) writer.u8(at);
    const bytes = writer.finishLarge();
    writer.u8(99);
    new ByteWriter(length).raw(new Uint8Array(length).fill(77));

    expect([...bytes]).toEqual(Array.from({ length }, (_, at) => at & 0xff));
  }
});

test("what is written behind its length reads back, whatever its length", () => {
  for (const length of [0, 127, 128, 20_000]) {
    const writer = new ByteWriter(16);
    const bytes = new Uint8Array(length).fill(5);
    writer.sized(bytes, (into, what) => into.raw(what));
    const plain = new ByteWriter(16);
    plain.bytes(bytes);

    expect(writer.finish()).toEqual(plain.finish());
  }
});
