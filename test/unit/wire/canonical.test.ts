import { describe, expect, test } from "vitest";

import { ByteReader, hexOf } from "../../../src/base/bytes.js";
import {
  canonicalDepthMax,
  DecodeFailure,
  decodeValue,
  encodeValue,
  NotCanonical,
  readFrozen,
} from "../../../src/wire/canonical.js";

const bytes = (...list: number[]): Uint8Array => Uint8Array.from(list);
const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
};

describe("the form", () => {
  test.each([
    [undefined, "00"],
    [null, "01"],
    [false, "02"],
    [true, "03"],
    [0, "0400"],
    [300, "04ac02"],
    [-1, "0500"],
    [-0, "060000000000000080"],
    [1.5, "06000000000000f83f"],
    [0n, "0700"],
    [258n, "07020201"],
    [-1n, "080101"],
    [2n ** 64n, "0709000000000000000001"],
    ["hé", "090368c3a9"],
    [bytes(1, 2), "0a020102"],
    [[1, "a"], "0b0204010901" + "61"],
    [{ b: 1, a: 2, gone: undefined }, "0c02" + "01610402" + "01620401"],
  ])("of %o stays what it is: snapshots and digests depend on it", (value, hex) => {
    expect(hexOf(encodeValue(value))).toBe(hex);
  });

  test("shares no memory with what was decoded, or with an earlier encoding", () => {
    const encoded = encodeValue(bytes(1, 2, 3));
    const decoded = decodeValue(encoded) as Uint8Array;
    encoded.fill(0);
    encodeValue("something else");

    expect([...decoded]).toEqual([1, 2, 3]);
  });

  test("are answered by the array before if that has the same", () => {
    const before = encodeValue({ version: 7 });
    expect(encodeValue({ version: 7 }, Infinity, before)).toBe(before);
    for (const other of [{ version: 8 }, { version: 700 }, { version: 7, more: true }, undefined]) {
      const encoded = encodeValue(other, Infinity, before);
      expect(encoded).not.toBe(before);
      expect(decodeValue(encoded)).toEqual(other);
    }
  });

  test("of an object do not tell how it was built, nor of what is absent", () => {
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`key ${at}`, at]));
    const backwards = Object.fromEntries(Object.entries(many).reverse());
    expect(encodeValue(backwards)).toEqual(encodeValue(many));
    expect(encodeValue({ a: undefined, b: 1, c: undefined })).toEqual(encodeValue({ b: 1 }));
    expect(encodeValue({ c: 1, b: undefined, a: 2 })).toEqual(encodeValue({ a: 2, c: 1 }));
  });

  test("keeps numbers above 2^53 and -0 exactly, and bigints beyond any double (N4)", () => {
    for (const value of [2 ** 53, 2 ** 53 + 2, -0, 123456789012345678901234567890n, -(2n ** 53n) - 1n]) {
      expect(Object.is(decodeValue(encodeValue(value)), value)).toBe(true);
    }
  });

  test("takes __proto__ for a name like any other (N4)", () => {
    const hostile: unknown = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}');
    const decoded = decodeValue(encodeValue(hostile)) as object;

    expect(Object.keys(decoded)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect("polluted" in {}).toBe(false);
  });
});

test("a value that is read to be kept is frozen whole, and says whether there are bytes in it", () => {
  const read = (value: unknown): { readonly value: unknown; readonly hasBytes: boolean } => {
    const kept = { hasBytes: false };
    return { value: readFrozen(new ByteReader(encodeValue(value)), kept), hasBytes: kept.hasBytes };
  };
  const plain = { a: [1, { b: "c" }], d: [] };
  const kept = read(plain);
  expect(kept).toEqual({ value: plain, hasBytes: false });
  const { a, d } = kept.value as { readonly a: readonly [number, object]; readonly d: object };
  for (const part of [kept.value, a, a[1], d]) expect(Object.isFrozen(part)).toBe(true);

  expect(read(undefined)).toEqual({ value: undefined, hasBytes: false });
  expect(read([{ deep: bytes(1) }]).hasBytes).toBe(true);
});

describe("what has no form is refused with the path to it", () => {
  class Account {}
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  test.each([
    [{ accounts: { x: { balance: NaN } } }, "Cannot encode value at accounts.x.balance: NaN is not a finite number."],
    [{ "a b": [1, Infinity] }, 'Cannot encode value at ["a b"][1]: Infinity is not a finite number.'],
    [() => 1, "Cannot encode value: a function is not plain data."],
    [[Symbol("s")], "Cannot encode value at [0]: a symbol is not plain data."],
    [{ when: new Date(0) }, "Cannot encode value at when: an instance of Date is not plain data."],
    [[new Map()], "Cannot encode value at [0]: an instance of Map is not plain data."],
    [new Account(), "Cannot encode value: an instance of Account is not plain data."],
    [["\ud800"], "Cannot encode value at [0]: the string has a lone surrogate, which has no UTF-8."],
    [{ "\udc00": 1 }, 'Cannot encode value at ["\\udc00"]: the key has a lone surrogate, which has no UTF-8.'],
    [[1, undefined], "Cannot encode value at [1]: undefined and holes have no canonical form in an array."],
    [new Array(1), "Cannot encode value at [0]: undefined and holes have no canonical form in an array."],
  ])("%o", (value, message) => {
    expect(() => encodeValue(value)).toThrow(NotCanonical);
    expect(() => encodeValue(value)).toThrow(message);
  });

  test("a cycle, and data that is too deep", () => {
    expect(() => encodeValue(cycle)).toThrow("it is nested deeper than 64 levels, or contains itself");
    expect(decodeValue(encodeValue(nested(canonicalDepthMax)))).toEqual(nested(canonicalDepthMax));
    expect(() => encodeValue(nested(canonicalDepthMax + 1))).toThrow(NotCanonical);
  });

  test("and the next value is encoded as if nothing had happened", () => {
    expect(() => encodeValue(["long text before the fault", NaN])).toThrow(NotCanonical);

    expect(hexOf(encodeValue(1))).toBe("0401");
  });
});

describe("bytes that are not the one form of a value are refused", () => {
  test.each([
    ["nothing", bytes()],
    ["an unknown tag", bytes(99)],
    ["a value that ends early", bytes(9, 5, 104)],
    ["bytes behind the value", bytes(1, 1)],
    ["a number in more bytes than needed", bytes(4, 0x81, 0)],
    ["a whole number as a double", bytes(6, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)],
    ["NaN", bytes(6, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)],
    ["a bigint with a zero in front", bytes(7, 2, 1, 0)],
    ["minus zero as a bigint", bytes(8, 0)],
    ["text that is not UTF-8", bytes(9, 1, 0xff)],
    ["undefined in an array", bytes(11, 1, 0)],
    ["undefined in an object", bytes(12, 1, 1, 97, 0)],
    ["keys out of order", bytes(12, 2, 1, 98, 1, 1, 97, 1)],
    ["a key twice", bytes(12, 2, 1, 97, 1, 1, 97, 1)],
    ["an array that claims more than there is", bytes(11, 0xff, 0xff, 0xff, 0x7f, 1)],
    ["an object that claims more than there is", bytes(12, 0xff, 0xff, 0xff, 0x7f, 1)],
    ["nesting without end", new Uint8Array(1000).fill(11).map((byte, at) => (at % 2 === 0 ? byte : 1))],
  ])("%s", (_, foreign) => {
    expect(decodeValue(foreign)).toBeInstanceOf(DecodeFailure);
  });
});
