/**
 * Decimal fractions for INCRBYFLOAT, added exactly.
 *
 * Owns: reading, adding and writing them. Redis adds in the platform's long double and prints 17 digits behind the point; platforms
 * differ there, replicas must not. So a decimal is a whole number of units of 10^-scale, the sum is exact, and it is rounded half
 * away from zero to 17 digits behind the point, without trailing zeros. Where Redis's sum is exact, the text is the same.
 */

export interface Decimal {
  readonly units: bigint;
  /** Digits behind the point, from 0. */
  readonly scale: number;
}

/** Digits in front of and behind the point that a number may have as it is written. */
const digitsMax = 330;
const scaleWritten = 17;

/** `undefined` for what is no decimal of that size, "infinite" for what Redis would read as an infinity. */
export function parseDecimal(text: string): Decimal | "infinite" | undefined {
  if (text.length > 2 * digitsMax) return undefined;
  if (/^[+-]?inf(inity)?$/i.test(text)) return "infinite";
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign = "", whole = "", fraction = "", exponentText = "0"] = match;
  if (whole === "" && fraction === "") return undefined;
  const exponent = Number(exponentText);
  const scale = fraction.length - exponent;
  if (Math.abs(exponent) > digitsMax || whole.length + exponent > digitsMax || scale > digitsMax) return undefined;
  const magnitude = BigInt(whole + fraction) * 10n ** BigInt(Math.max(0, -scale));
  return { units: sign === "-" ? -magnitude : magnitude, scale: Math.max(0, scale) };
}

export function addDecimals(left: Decimal, right: Decimal): Decimal {
  const scale = Math.max(left.scale, right.scale);
  return { units: unitsAt(left, scale) + unitsAt(right, scale), scale };
}

export function formatDecimal(value: Decimal): string {
  const { units, scale } = rounded(value);
  const negative = units < 0n;
  const digits = (negative ? -units : units).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, "");
  const text = fraction === "" ? whole : `${whole}.${fraction}`;
  return negative && text !== "0" ? `-${text}` : text;
}

function unitsAt({ units, scale }: Decimal, wanted: number): bigint {
  return units * 10n ** BigInt(wanted - scale);
}

function rounded(value: Decimal): Decimal {
  const excess = value.scale - scaleWritten;
  if (excess <= 0) return value;
  const divisor = 10n ** BigInt(excess);
  const half = value.units < 0n ? -(divisor / 2n) : divisor / 2n;
  return { units: (value.units + half) / divisor, scale: scaleWritten };
}
