/**
 * Hashes: one row for each field, so a change costs the same whatever the size.
 *
 * Owns: HSET to HDEL below. Fields are listed in the order of their bytes.
 */
import { newId, put, remove } from "../keyspace.js";
import { kvLimits } from "../limits.js";
import { textsOf } from "../parts.js";
import { errors, wrongArity, type Reply } from "../reply.js";
import type { HashEntry, Reading, Writing } from "../state.js";
import {
  argument,
  findKind,
  findKindForWrite,
  oneKey,
  read,
  readBulky,
  write,
  type Argv,
  type CommandRow,
} from "./command.js";

export const hashCommands: readonly CommandRow[] = [
  write({ name: "hset", arity: -4, keys: oneKey }, setFields),
  write({ name: "hmset", arity: -4, keys: oneKey }, (writing, argv) => {
    const reply = setFields(writing, argv);
    return typeof reply === "number" ? true : reply;
  }),
  write({ name: "hsetnx", arity: 4, keys: oneKey }, setFieldIfAbsent),
  write({ name: "hdel", arity: -3, keys: oneKey }, deleteFields),
  readBulky({ name: "hget", arity: 3, keys: oneKey }, (reading, argv) => {
    const hash = findKind(reading, argument(argv, 1), "hash");
    if (hash === undefined || hash === "wrongType") return hash === undefined ? null : errors.wrongType;
    return reading.state.fields.get([hash.id, argument(argv, 2)]) ?? null;
  }),
  readBulky({ name: "hmget", arity: -3, keys: oneKey }, getFields),
  read({ name: "hexists", arity: 3, keys: oneKey }, (reading, argv) => {
    const hash = findKind(reading, argument(argv, 1), "hash");
    if (hash === undefined || hash === "wrongType") return hash === undefined ? 0 : errors.wrongType;
    return reading.state.fields.has([hash.id, argument(argv, 2)]) ? 1 : 0;
  }),
  read({ name: "hlen", arity: 2, keys: oneKey }, (reading, argv) => {
    const hash = findKind(reading, argument(argv, 1), "hash");
    return hash === "wrongType" ? errors.wrongType : (hash?.count ?? 0);
  }),
  readBulky({ name: "hgetall", arity: 2, keys: oneKey }, (reading, argv) => {
    const rows = rowsOf(reading, argument(argv, 1));
    return rows === "wrongType" ? errors.wrongType : { map: rows.flat() };
  }),
  readBulky({ name: "hkeys", arity: 2, keys: oneKey }, (reading, argv) => {
    const rows = rowsOf(reading, argument(argv, 1));
    return rows === "wrongType" ? errors.wrongType : rows.map(([field]) => field);
  }),
  readBulky({ name: "hvals", arity: 2, keys: oneKey }, (reading, argv) => {
    const rows = rowsOf(reading, argument(argv, 1));
    return rows === "wrongType" ? errors.wrongType : rows.map(([, value]) => value);
  }),
];

function setFields(writing: Writing, argv: Argv): Reply {
  if (argv.length % 2 === 1) return wrongArity(argument(argv, 0).toLowerCase());
  if (argv.some((text) => text.length > kvLimits.valueBytesMax)) return errors.tooLong;
  const key = argument(argv, 1);
  const found = findKindForWrite(writing, key, "hash");
  if (found === "wrongType") return errors.wrongType;
  const hash: HashEntry = found ?? { kind: "hash", id: newId(writing), count: 0, changedAt: 0 };
  let added = 0;
  for (let at = 2; at < argv.length; at += 2) {
    const row = [hash.id, argument(argv, at)] as const;
    if (!writing.state.fields.has(row)) added += 1;
    writing.state.fields.set(row, argument(argv, at + 1));
  }
  put(writing, key, { ...hash, count: hash.count + added });
  return added;
}

function setFieldIfAbsent(writing: Writing, argv: Argv): Reply {
  const hash = findKindForWrite(writing, argument(argv, 1), "hash");
  if (hash === "wrongType") return errors.wrongType;
  if (hash !== undefined && writing.state.fields.has([hash.id, argument(argv, 2)])) return 0;
  return setFields(writing, argv);
}

function deleteFields(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const hash = findKindForWrite(writing, key, "hash");
  if (hash === undefined) return 0;
  if (hash === "wrongType") return errors.wrongType;
  let deleted = 0;
  for (const field of argv.slice(2)) if (writing.state.fields.delete([hash.id, field])) deleted += 1;
  if (deleted === hash.count) remove(writing, key);
  else if (deleted > 0) put(writing, key, { ...hash, count: hash.count - deleted });
  return deleted;
}

function getFields(reading: Reading, argv: Argv): Reply {
  const hash = findKind(reading, argument(argv, 1), "hash");
  if (hash === "wrongType") return errors.wrongType;
  const values: (string | null)[] = [];
  for (const field of argv.slice(2)) {
    values.push(hash === undefined ? null : (reading.state.fields.get([hash.id, field]) ?? null));
  }
  return values;
}

function rowsOf(reading: Reading, key: string): readonly (readonly [string, string])[] | "wrongType" {
  const hash = findKind(reading, key, "hash");
  if (hash === "wrongType") return "wrongType";
  const rows: (readonly [string, string])[] = [];
  if (hash === undefined) return rows;
  for (const [[, field], value] of reading.state.fields.range(textsOf(hash.id))) rows.push([field, value]);
  return rows;
}
