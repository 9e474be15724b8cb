/**
 * Arithmetic on string values: exact in 64 bits for integers, exact in decimals for INCRBYFLOAT.
 *
 * Owns: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT. They keep the key's expiry.
 */
import { addDecimals, formatDecimal, parseDecimal } from "../decimals.js";
import { addIntegers, integerMin, parseNumeric } from "../integers.js";
import { putString } from "../keyspace.js";
import { errors, type Reply } from "../reply.js";
import type { Writing } from "../state.js";
import { argument, findKindForWrite, oneKey, write, type Argv, type CommandRow } from "./command.js";

export const numberCommands: readonly CommandRow[] = [
  write({ name: "incr", arity: 2, keys: oneKey }, (writing, argv) => increment(writing, argument(argv, 1), 1)),
  write({ name: "decr", arity: 2, keys: oneKey }, (writing, argv) => increment(writing, argument(argv, 1), -1)),
  write({ name: "incrby", arity: 3, keys: oneKey }, (writing, argv) => {
    const by = parseNumeric(argument(argv, 2));
    return by === undefined ? errors.notInteger : increment(writing, argument(argv, 1), by);
  }),
  write({ name: "decrby", arity: 3, keys: oneKey }, (writing, argv) => {
    const by = parseNumeric(argument(argv, 2));
    if (by === undefined) return errors.notInteger;
    if (by === integerMin) return { error: "ERR decrement would overflow" };
    return increment(writing, argument(argv, 1), -by);
  }),
  write({ name: "incrbyfloat", arity: 3, keys: oneKey }, incrementByFloat),
];

/** Also the typed command `increment`. */
export function increment(writing: Writing, key: string, by: bigint | number): Reply {
  const entry = findKindForWrite(writing, key, "string");
  if (entry === "wrongType") return errors.wrongType;
  const value = entry === undefined ? 0 : parseNumeric(entry.value);
  if (value === undefined) return errors.notInteger;
  const sum = addIntegers(value, by);
  if (sum === undefined) return errors.overflow;
  putString(writing, key, String(sum), entry?.expiresAt);
  return sum;
}

function incrementByFloat(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const entry = findKindForWrite(writing, key, "string");
  if (entry === "wrongType") return errors.wrongType;
  const value = parseDecimal(entry?.value ?? "0");
  const by = parseDecimal(argument(argv, 2));
  if (value === undefined || by === undefined) return errors.notFloat;
  if (value === "infinite" || by === "infinite") return { error: "ERR increment would produce NaN or Infinity" };
  const sum = formatDecimal(addDecimals(value, by));
  putString(writing, key, sum, entry?.expiresAt);
  return sum;
}
