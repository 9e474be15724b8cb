/**
 * Commands on string values that only read or replace them. Arithmetic is in `numbers.ts`.
 *
 * Owns: GET, SET and their family, with Redis's options, replies and errors.
 */
import { findForWrite, putString, remove, setExpiry } from "../keyspace.js";
import { kvLimits } from "../limits.js";
import { parseSafeInteger } from "../integers.js";
import { errors, wrongArity, type Reply } from "../reply.js";
import type { Reading, Stored, StringEntry, Writing } from "../state.js";
import {
  allKeys,
  argument,
  findKind,
  findKindForWrite,
  oneKey,
  option,
  read,
  readBulky,
  write,
  writeBulky,
  writeBulkyWithOptions,
  type Argv,
  type CommandRow,
} from "./command.js";
import { readPositiveTime, timeOptions, type TimeUnit } from "./times.js";

const seconds: TimeUnit = { unitMs: 1000, relative: true };
const milliseconds: TimeUnit = { unitMs: 1, relative: true };

export const stringCommands: readonly CommandRow[] = [
  readBulky({ name: "get", arity: 2, keys: oneKey }, (reading, argv) =>
    valueOf(findKind(reading, argument(argv, 1), "string")),
  ),
  readBulky({ name: "mget", arity: -2, keys: allKeys }, readMany),
  read({ name: "strlen", arity: 2, keys: oneKey }, (reading, argv) => {
    const entry = findKind(reading, argument(argv, 1), "string");
    return entry === "wrongType" ? errors.wrongType : (entry?.value.length ?? 0);
  }),
  readBulky({ name: "getrange", arity: 4, keys: oneKey }, readRange),
  readBulky({ name: "substr", arity: 4, keys: oneKey }, readRange),
  writeBulkyWithOptions({ name: "set", arity: -3, keys: oneKey }, set),
  write({ name: "setex", arity: 4, keys: oneKey }, (writing, argv) => setExpiring(writing, argv, seconds)),
  write({ name: "psetex", arity: 4, keys: oneKey }, (writing, argv) => setExpiring(writing, argv, milliseconds)),
  write({ name: "setnx", arity: 3, keys: oneKey }, setIfAbsent),
  writeBulky({ name: "getset", arity: 3, keys: oneKey }, getSet),
  writeBulky({ name: "getdel", arity: 2, keys: oneKey }, getDelete),
  writeBulky({ name: "getex", arity: -2, keys: oneKey }, getExpire),
  write({ name: "mset", arity: -3, keys: [1, -1, 2] }, setMany),
  write({ name: "msetnx", arity: -3, keys: [1, -1, 2] }, setManyIfAbsent),
  write({ name: "append", arity: 3, keys: oneKey }, append),
  write({ name: "setrange", arity: 4, keys: oneKey }, setRange),
];

/** What GET answers. */
function valueOf(entry: StringEntry | undefined | "wrongType"): Reply {
  return entry === "wrongType" ? errors.wrongType : (entry?.value ?? null);
}

function readMany(reading: Reading, argv: Argv): Reply {
  return argv.slice(1).map((key) => {
    const entry = findKind(reading, key, "string");
    return entry === undefined || entry === "wrongType" ? null : entry.value;
  });
}

function readRange(reading: Reading, argv: Argv): Reply {
  const start = parseSafeInteger(argument(argv, 2));
  const stop = parseSafeInteger(argument(argv, 3));
  if (start === undefined || stop === undefined) return errors.notInteger;
  const entry = findKind(reading, argument(argv, 1), "string");
  if (entry === "wrongType") return errors.wrongType;
  const value = entry?.value ?? "";
  if (start < 0 && stop < 0 && start > stop) return "";
  const first = Math.max(0, start < 0 ? value.length + start : start);
  const last = Math.max(0, stop < 0 ? value.length + stop : stop);
  return value.slice(first, last + 1);
}

interface SetOptions {
  readonly condition: "none" | "absent" | "present";
  readonly answersOld: boolean;
  readonly keepsExpiry: boolean;
  readonly expiresAt: number | undefined;
}

function set(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const value = argument(argv, 2);
  if (value.length > kvLimits.valueBytesMax) return errors.tooLong;
  if (argv.length === 3) {
    putString(writing, key, value, undefined);
    return true;
  }
  const read = readSetOptions(writing, argv);
  if (read.kind === "bad") return read.error;
  const { condition, answersOld, keepsExpiry, expiresAt } = read.options;

  const previous = findForWrite(writing, key);
  if (answersOld && previous !== undefined && previous.kind !== "string") return errors.wrongType;
  const old = previous?.kind === "string" ? previous.value : null;
  const blocked = condition === "absent" ? previous !== undefined : condition === "present" && previous === undefined;
  if (blocked) return answersOld ? old : null;
  putExpiring(writing, key, value, keepsExpiry ? previous?.expiresAt : expiresAt);
  return answersOld ? old : true;
}

type SetReading =
  { readonly kind: "options"; readonly options: SetOptions } | { readonly kind: "bad"; readonly error: Reply };

function readSetOptions(writing: Writing, argv: Argv): SetReading {
  let condition: SetOptions["condition"] = "none";
  let answersOld = false;
  let keepsExpiry = false;
  let time: { readonly text: string; readonly unit: TimeUnit } | undefined;
  for (let at = 3; at < argv.length; at += 1) {
    const name = option(argv, at);
    const unit = timeOptions.get(name);
    const text = argv[at + 1];
    if (name === "NX" && condition !== "present") condition = "absent";
    else if (name === "XX" && condition !== "absent") condition = "present";
    else if (name === "GET") answersOld = true;
    else if (name === "KEEPTTL" && time === undefined) keepsExpiry = true;
    else if (unit !== undefined && text !== undefined && time === undefined && !keepsExpiry) {
      time = { text, unit };
      at += 1;
    } else return { kind: "bad", error: errors.syntax };
  }
  if (time === undefined)
    return { kind: "options", options: { condition, answersOld, keepsExpiry, expiresAt: undefined } };
  const read = readPositiveTime(time.text, time.unit, writing.now, "set");
  if (read.kind === "bad") return read;
  return { kind: "options", options: { condition, answersOld, keepsExpiry, expiresAt: read.at } };
}

/** A time that has passed already leaves nothing behind. */
function putExpiring(writing: Writing, key: string, value: string, expiresAt: number | undefined): void {
  if (expiresAt !== undefined && expiresAt <= writing.now) remove(writing, key);
  else putString(writing, key, value, expiresAt);
}

function setExpiring(writing: Writing, argv: Argv, unit: TimeUnit): Reply {
  const value = argument(argv, 3);
  if (value.length > kvLimits.valueBytesMax) return errors.tooLong;
  const read = readPositiveTime(argument(argv, 2), unit, writing.now, argument(argv, 0).toLowerCase());
  if (read.kind === "bad") return read.error;
  putExpiring(writing, argument(argv, 1), value, read.at);
  return true;
}

function setIfAbsent(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const value = argument(argv, 2);
  if (value.length > kvLimits.valueBytesMax) return errors.tooLong;
  if (findForWrite(writing, key) !== undefined) return 0;
  putString(writing, key, value, undefined);
  return 1;
}

function getSet(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const value = argument(argv, 2);
  if (value.length > kvLimits.valueBytesMax) return errors.tooLong;
  const previous = findKindForWrite(writing, key, "string");
  if (previous === "wrongType") return errors.wrongType;
  putString(writing, key, value, undefined);
  return valueOf(previous);
}

function getDelete(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const previous = findKindForWrite(writing, key, "string");
  if (previous === "wrongType") return errors.wrongType;
  remove(writing, key);
  return valueOf(previous);
}

function getExpire(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const change = readExpiryChange(writing, argv);
  if (change.kind === "bad") return change.error;
  const entry = findKindForWrite(writing, key, "string");
  if (entry === undefined || entry === "wrongType") return valueOf(entry);
  if (change.kind === "persist") {
    if (entry.expiresAt !== undefined) setExpiry(writing, key, entry, undefined);
  } else if (change.kind === "time") {
    if (change.at <= writing.now) remove(writing, key);
    else setExpiry(writing, key, entry, change.at);
  }
  return entry.value;
}

type ExpiryChange =
  | { readonly kind: "none" | "persist" }
  | { readonly kind: "time"; readonly at: number }
  | { readonly kind: "bad"; readonly error: Reply };

function readExpiryChange(writing: Writing, argv: Argv): ExpiryChange {
  if (argv.length === 2) return { kind: "none" };
  const name = option(argv, 2);
  if (name === "PERSIST" && argv.length === 3) return { kind: "persist" };
  const unit = timeOptions.get(name);
  if (unit === undefined || argv.length !== 4) return { kind: "bad", error: errors.syntax };
  return readPositiveTime(argument(argv, 3), unit, writing.now, "getex");
}

function setMany(writing: Writing, argv: Argv): Reply {
  const fault = checkPairs(argv, "mset");
  if (fault !== undefined) return fault;
  putPairs(writing, argv);
  return true;
}

function setManyIfAbsent(writing: Writing, argv: Argv): Reply {
  const fault = checkPairs(argv, "msetnx");
  if (fault !== undefined) return fault;
  for (let at = 1; at < argv.length; at += 2) {
    if (findForWrite(writing, argument(argv, at)) !== undefined) return 0;
  }
  putPairs(writing, argv);
  return 1;
}

function checkPairs(argv: Argv, name: string): Reply | undefined {
  if (argv.length % 2 === 0) return wrongArity(name);
  for (let at = 2; at < argv.length; at += 2) {
    if (argument(argv, at).length > kvLimits.valueBytesMax) return errors.tooLong;
  }
  return undefined;
}

function putPairs(writing: Writing, argv: Argv): void {
  for (let at = 1; at < argv.length; at += 2) putString(writing, argument(argv, at), argument(argv, at + 1), undefined);
}

function append(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const entry = findKindForWrite(writing, key, "string");
  if (entry === "wrongType") return errors.wrongType;
  const value = (entry?.value ?? "") + argument(argv, 2);
  if (value.length > kvLimits.valueBytesMax) return errors.tooLong;
  putString(writing, key, value, expiryOf(entry));
  return value.length;
}

function setRange(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const offset = parseSafeInteger(argument(argv, 2));
  const patch = argument(argv, 3);
  if (offset === undefined) return errors.notInteger;
  if (offset < 0) return { error: "ERR offset is out of range" };
  const entry = findKindForWrite(writing, key, "string");
  if (entry === "wrongType") return errors.wrongType;
  const value = entry?.value ?? "";
  if (patch === "") return value.length;
  if (offset + patch.length > kvLimits.valueBytesMax) return errors.tooLong;
  const changed = value.slice(0, offset).padEnd(offset, "\0") + patch + value.slice(offset + patch.length);
  putString(writing, key, changed, expiryOf(entry));
  return changed.length;
}

function expiryOf(entry: Stored | undefined): number | undefined {
  return entry?.expiresAt;
}
