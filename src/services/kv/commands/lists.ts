/**
 * Lists: elements lie at consecutive places of a sorted map, so a push or pop at either end and a look at any index cost the same
 * whatever the length.
 *
 * Owns: LPUSH to LTRIM below. Not here: blocking commands, and those that insert or remove in the middle.
 */
import { parseSafeInteger } from "../integers.js";
import { findForWrite, newId, put, remove } from "../keyspace.js";
import { kvLimits } from "../limits.js";
import { errors, type Reply } from "../reply.js";
import type { ListEntry, Reading, Writing } from "../state.js";
import {
  argument,
  findKind,
  findKindForWrite,
  oneKey,
  rangeWithin,
  read,
  readBulky,
  readCount,
  write,
  writeBulky,
  type Argv,
  type CommandRow,
} from "./command.js";

type End = "left" | "right";

export const listCommands: readonly CommandRow[] = [
  write({ name: "lpush", arity: -3, keys: oneKey }, (writing, argv) => push(writing, argv, "left")),
  write({ name: "rpush", arity: -3, keys: oneKey }, (writing, argv) => push(writing, argv, "right")),
  write({ name: "lpushx", arity: -3, keys: oneKey }, (writing, argv) => pushIfPresent(writing, argv, "left")),
  write({ name: "rpushx", arity: -3, keys: oneKey }, (writing, argv) => pushIfPresent(writing, argv, "right")),
  writeBulky({ name: "lpop", arity: -2, keys: oneKey }, (writing, argv) => pop(writing, argv, "left")),
  writeBulky({ name: "rpop", arity: -2, keys: oneKey }, (writing, argv) => pop(writing, argv, "right")),
  read({ name: "llen", arity: 2, keys: oneKey }, (reading, argv) => {
    const list = findKind(reading, argument(argv, 1), "list");
    return list === "wrongType" ? errors.wrongType : (list?.count ?? 0);
  }),
  readBulky({ name: "lindex", arity: 3, keys: oneKey }, elementAt),
  readBulky({ name: "lrange", arity: 4, keys: oneKey }, range),
  write({ name: "lset", arity: 4, keys: oneKey }, setElement),
];

function push(writing: Writing, argv: Argv, end: End): Reply {
  const key = argument(argv, 1);
  const values = argv.slice(2);
  if (values.some((value) => value.length > kvLimits.valueBytesMax)) return errors.tooLong;
  const found = findKindForWrite(writing, key, "list");
  if (found === "wrongType") return errors.wrongType;
  const list: ListEntry = found ?? { kind: "list", id: newId(writing), first: 0, count: 0, changedAt: 0 };
  let { first, count } = list;
  for (const value of values) {
    if (end === "left") first -= 1;
    writing.state.elements.set([list.id, end === "left" ? first : first + count], value);
    count += 1;
  }
  put(writing, key, { ...list, first, count });
  return count;
}

function pushIfPresent(writing: Writing, argv: Argv, end: End): Reply {
  return findForWrite(writing, argument(argv, 1)) === undefined ? 0 : push(writing, argv, end);
}

function pop(writing: Writing, argv: Argv, end: End): Reply {
  if (argv.length > 3) return errors.syntax;
  const key = argument(argv, 1);
  const count = readCount(argv, 2);
  if (count.kind === "bad") return count.error;
  const list = findKindForWrite(writing, key, "list");
  if (list === "wrongType") return errors.wrongType;
  if (list === undefined) return count.kind === "none" ? null : { nilArray: true };
  if (count.kind === "none") return popped(writing, key, list, { end, count: 1 })[0] ?? null;
  return popped(writing, key, list, { end, count: Math.min(count.count, list.count) });
}

function popped(writing: Writing, key: string, list: ListEntry, what: { end: End; count: number }): readonly string[] {
  const { elements } = writing.state;
  const { end, count } = what;
  const values: string[] = [];
  for (let taken = 0; taken < count; taken += 1) {
    const place = end === "left" ? list.first + taken : list.first + list.count - 1 - taken;
    values.push(elements.get([list.id, place]) ?? "");
    elements.delete([list.id, place]);
  }
  if (count === list.count) remove(writing, key);
  else if (count > 0) {
    put(writing, key, { ...list, first: end === "left" ? list.first + count : list.first, count: list.count - count });
  }
  return values;
}

/** The place of an index that counts from the end if negative. */
function placeOf(list: ListEntry, index: number): number | undefined {
  const fromFirst = index < 0 ? list.count + index : index;
  return fromFirst >= 0 && fromFirst < list.count ? list.first + fromFirst : undefined;
}

function elementAt(reading: Reading, argv: Argv): Reply {
  const index = parseSafeInteger(argument(argv, 2));
  if (index === undefined) return errors.notInteger;
  const list = findKind(reading, argument(argv, 1), "list");
  if (list === undefined) return null;
  if (list === "wrongType") return errors.wrongType;
  const place = placeOf(list, index);
  return place === undefined ? null : (reading.state.elements.get([list.id, place]) ?? null);
}

function range(reading: Reading, argv: Argv): Reply {
  const start = parseSafeInteger(argument(argv, 2));
  const stop = parseSafeInteger(argument(argv, 3));
  if (start === undefined || stop === undefined) return errors.notInteger;
  const list = findKind(reading, argument(argv, 1), "list");
  if (list === undefined) return [];
  if (list === "wrongType") return errors.wrongType;
  const within = rangeWithin(start, stop, list.count);
  if (within === undefined) return [];
  const { id, first } = list;
  const rows = reading.state.elements.range({ from: [id, first + within.first], through: [id, first + within.last] });
  const values: string[] = [];
  for (const [, value] of rows) values.push(value);
  return values;
}

function setElement(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const value = argument(argv, 3);
  if (value.length > kvLimits.valueBytesMax) return errors.tooLong;
  const list = findKindForWrite(writing, key, "list");
  if (list === undefined) return errors.noSuchKey;
  if (list === "wrongType") return errors.wrongType;
  const index = parseSafeInteger(argument(argv, 2));
  if (index === undefined) return errors.notInteger;
  const place = placeOf(list, index);
  if (place === undefined) return { error: "ERR index out of range" };
  writing.state.elements.set([list.id, place], value);
  put(writing, key, list);
  return true;
}
