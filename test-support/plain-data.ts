/** Arbitrary plain data for property tests: everything that has a canonical form, and the odd corners of it. */
import fc from "fast-check";

const oddKeys = fc.constantFrom("__proto__", "constructor", "10", "9", "a", "", "then", "é", "\u{1f600}", "length");
const wellFormed = fc.string({ unit: "grapheme", maxLength: 12 });

export const plainScalar: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    null,
    true,
    false,
    0,
    -0,
    1,
    -1,
    2 ** 53 - 1,
    -(2 ** 53 - 1),
    2 ** 53,
    1.5,
    5e-324,
    1e308,
    0n,
    -1n,
    "",
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }),
  wellFormed,
);

export const plainData: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    plainScalar,
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(fc.oneof(oddKeys, wellFormed), tie("value")), { maxLength: 5 }).map(objectOf),
  ),
})).value;

/** With own properties only, whatever their names. */
export function objectOf(pairs: readonly (readonly [string, unknown])[]): object {
  const object = {};
  for (const [key, value] of pairs) {
    Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
  }
  return object;
}

/** The same data with the properties of all objects added in the opposite order. */
export function shuffled(value: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(shuffled);
  return objectOf(
    Object.entries(value)
      .map(([key, item]) => [key, shuffled(item)] as const)
      .reverse(),
  );
}
