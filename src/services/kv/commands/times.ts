/**
 * Times that keys expire at, as commands write them.
 *
 * Owns: seconds and milliseconds, relative and absolute, and their errors. Times are whole milliseconds within 2^53; Redis goes on
 * to 2^63.
 */
import { parseSafeInteger } from "../integers.js";
import { errors, invalidExpire, type Reply } from "../reply.js";

/** `relative`: from now on. */
export interface TimeUnit {
  readonly unitMs: 1 | 1000;
  readonly relative: boolean;
}

export type TimeReading =
  { readonly kind: "time"; readonly at: number } | { readonly kind: "bad"; readonly error: Reply };

/** The options of SET and GETEX. */
export const timeOptions: ReadonlyMap<string, TimeUnit> = new Map([
  ["EX", { unitMs: 1000, relative: true }],
  ["PX", { unitMs: 1, relative: true }],
  ["EXAT", { unitMs: 1000, relative: false }],
  ["PXAT", { unitMs: 1, relative: false }],
]);

/** Any time, past ones included, for EXPIRE and its like. */
export function readTime(text: string, unit: TimeUnit, now: number, command: string): TimeReading {
  const value = parseSafeInteger(text);
  if (value === undefined) return { kind: "bad", error: isWhole(text) ? invalidExpire(command) : errors.notInteger };
  const at = value * unit.unitMs + (unit.relative ? now : 0);
  return Number.isSafeInteger(at) ? { kind: "time", at } : { kind: "bad", error: invalidExpire(command) };
}

/** SET and its like take no number below 1. */
export function readPositiveTime(text: string, unit: TimeUnit, now: number, command: string): TimeReading {
  const value = parseSafeInteger(text);
  if (value !== undefined && value <= 0) return { kind: "bad", error: invalidExpire(command) };
  return readTime(text, unit, now, command);
}

/** Within Redis's 64 bits but beyond ours. */
function isWhole(text: string): boolean {
  return /^-?[1-9][0-9]{15,17}$/.test(text);
}
