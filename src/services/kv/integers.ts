/**
 * Redis's integers: signed, 64 bits, written in the one shortest way ("007", "+1" and "-0" are no integers).
 *
 * Owns: reading them and adding them exactly. Small ones are added as numbers, which is several times cheaper than as bigints.
 */
export const integerMin = -(2n ** 63n);
const integerMax = 2n ** 63n - 1n;

/** Up to this many digits a whole number and the sum of two are exact as doubles. */
const safeDigits = 15;

function parseInteger(text: string): bigint | undefined {
  const small = parseSmall(text);
  if (small !== undefined) return BigInt(small);
  if (text.length > 20 || !/^-?[1-9][0-9]*$/.test(text)) return undefined;
  const value = BigInt(text);
  return value < integerMin || value > integerMax ? undefined : value;
}

/** Also `undefined` beyond 2^53: for counts, places and times, which we do not have that large. */
export function parseSafeInteger(text: string): number | undefined {
  const small = parseSmall(text);
  if (small !== undefined) return small;
  const value = parseInteger(text);
  if (value === undefined) return undefined;
  return Number.isSafeInteger(Number(value)) ? Number(value) : undefined;
}

/** `undefined` for an overflow. A number if it is a safe one. */
export function addIntegers(left: bigint | number, right: bigint | number): bigint | number | undefined {
  if (typeof left === "number" && typeof right === "number") {
    const sum = left + right;
    if (Number.isSafeInteger(sum)) return sum;
  }
  const sum = BigInt(left) + BigInt(right);
  if (sum < integerMin || sum > integerMax) return undefined;
  return integerOf(sum);
}

/** As a number when that is exact. */
function integerOf(value: bigint): bigint | number {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** As `parseInteger`, as a number when that is exact. */
export function parseNumeric(text: string): bigint | number | undefined {
  const small = parseSmall(text);
  if (small !== undefined) return small;
  const value = parseInteger(text);
  return value === undefined ? undefined : integerOf(value);
}

/** Whole numbers of up to 15 digits, without making a bigint. */
function parseSmall(text: string): number | undefined {
  const negative = text.charCodeAt(0) === 45;
  const first = negative ? 1 : 0;
  const digits = text.length - first;
  if (digits < 1 || digits > safeDigits) return undefined;
  let value = 0;
  for (let at = first; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  const leadingZero = text.charCodeAt(first) === 48;
  if (leadingZero && (digits > 1 || negative)) return undefined;
  return negative ? -value : value;
}
