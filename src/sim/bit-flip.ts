/**
 * One flipped bit in plain data, as bad memory has it.
 *
 * Owns: which bits there are. A bit is one of what the value says: a number stays finite and a text well-formed, so that code goes on with a
 * wrong value and does not fail at once. Called by the faults of memory.
 */
import type { Draw } from "./draw.js";

/** A frozen copy with one bit flipped; undefined if there is no bit in it (`null`, an empty list). */
export function withFlippedBit(value: unknown, draw: Draw): unknown {
  switch (typeof value) {
    case "string":
      return value === "" ? undefined : flippedText(value, draw);
    case "number":
      return flippedNumber(value, draw);
    case "boolean":
      return !value;
    case "bigint":
      return value ^ (1n << BigInt(draw.between(0, 15)));
    case "object":
      return value === null ? undefined : flippedObject(value, draw);
    default:
      return undefined;
  }
}

function flippedText(text: string, draw: Draw): string {
  const at = draw.between(0, text.length - 1);
  // The low bits: a letter stays a letter of its kind, and half of a pair stays one.
  const flipped = text.charCodeAt(at) ^ (1 << draw.between(0, 6));
  return text.slice(0, at) + String.fromCharCode(flipped) + text.slice(at + 1);
}

function flippedNumber(value: number, draw: Draw): number {
  if (Number.isSafeInteger(value) && !Object.is(value, -0))
    return Number(BigInt(value) ^ (1n << BigInt(draw.between(0, 29))));
  const double = new DataView(new ArrayBuffer(8));
  double.setFloat64(0, value);
  // Of the fraction.
  double.setUint32(4, double.getUint32(4) ^ (1 << draw.between(0, 31)));
  return double.getFloat64(0);
}

/** In a copy. */
export function flippedBytes(bytes: Uint8Array, draw: Draw): Uint8Array {
  const copy = bytes.slice();
  const at = draw.between(0, copy.length - 1);
  copy[at] = (copy[at] ?? 0) ^ (1 << draw.between(0, 7));
  return copy;
}

function flippedObject(value: object, draw: Draw): unknown {
  if (value instanceof Uint8Array) return value.length === 0 ? undefined : flippedBytes(value, draw);
  const properties = Object.entries(value);
  // Not every property has bits: from one that is drawn on, the first that has.
  const from = properties.length === 0 ? 0 : draw.between(0, properties.length - 1);
  for (const [name, inner] of [...properties.slice(from), ...properties.slice(0, from)]) {
    const flipped = withFlippedBit(inner, draw);
    if (flipped === undefined) continue;
    if (!Array.isArray(value)) return Object.freeze({ ...value, [name]: flipped });
    return Object.freeze(value.map((each: unknown, at) => (String(at) === name ? flipped : each)));
  }
  return undefined;
}
