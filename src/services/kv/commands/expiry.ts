/**
 * When keys expire, by agreed time: the time in the log, the same on every replica, never a replica's own clock.
 *
 * Owns: EXPIRE to PERSIST below, and TIME. What answers "how long still" is ordered, since only an entry has a fresh time; what answers
 * "at what time" is a plain read.
 */
import { find, findForWrite, remove, setExpiry } from "../keyspace.js";
import type { Reply } from "../reply.js";
import type { Reading, Stored, Writing } from "../state.js";
import { argument, noKeys, oneKey, option, ordered, read, write, type Argv, type CommandRow } from "./command.js";
import { readTime, type TimeUnit } from "./times.js";

export const expiryCommands: readonly CommandRow[] = [
  write({ name: "expire", arity: -3, keys: oneKey }, (writing, argv) =>
    expire(writing, argv, { unitMs: 1000, relative: true }),
  ),
  write({ name: "pexpire", arity: -3, keys: oneKey }, (writing, argv) =>
    expire(writing, argv, { unitMs: 1, relative: true }),
  ),
  write({ name: "expireat", arity: -3, keys: oneKey }, (writing, argv) =>
    expire(writing, argv, { unitMs: 1000, relative: false }),
  ),
  write({ name: "pexpireat", arity: -3, keys: oneKey }, (writing, argv) =>
    expire(writing, argv, { unitMs: 1, relative: false }),
  ),
  ordered({ name: "ttl", arity: 2, keys: oneKey }, (writing, argv) =>
    timeLeft(writing, argv, (ms) => Math.floor((ms + 500) / 1000)),
  ),
  ordered({ name: "pttl", arity: 2, keys: oneKey }, (writing, argv) => timeLeft(writing, argv, (ms) => ms)),
  read({ name: "expiretime", arity: 2, keys: oneKey }, (reading, argv) =>
    expiryTime(reading, argv, (at) => Math.floor((at + 500) / 1000)),
  ),
  read({ name: "pexpiretime", arity: 2, keys: oneKey }, (reading, argv) => expiryTime(reading, argv, (at) => at)),
  write({ name: "persist", arity: 2, keys: oneKey }, persist),
  ordered({ name: "time", arity: 1, keys: noKeys }, ({ now }) => [
    String(Math.floor(now / 1000)),
    String((now % 1000) * 1000),
  ]),
];

interface Conditions {
  absent: boolean;
  present: boolean;
  greater: boolean;
  less: boolean;
}

function expire(writing: Writing, argv: Argv, unit: TimeUnit): Reply {
  const conditions = readConditions(argv);
  if ("error" in conditions) return conditions;
  const read = readTime(argument(argv, 2), unit, writing.now, argument(argv, 0).toLowerCase());
  if (read.kind === "bad") return read.error;
  const key = argument(argv, 1);
  const stored = findForWrite(writing, key);
  if (stored === undefined || !allows(conditions, stored, read.at)) return 0;
  if (read.at <= writing.now) remove(writing, key);
  else setExpiry(writing, key, stored, read.at);
  return 1;
}

function readConditions(argv: Argv): Conditions | { readonly error: string } {
  const conditions: Conditions = { absent: false, present: false, greater: false, less: false };
  for (let at = 3; at < argv.length; at += 1) {
    const name = option(argv, at);
    if (name === "NX") conditions.absent = true;
    else if (name === "XX") conditions.present = true;
    else if (name === "GT") conditions.greater = true;
    else if (name === "LT") conditions.less = true;
    else return { error: `ERR Unsupported option ${argument(argv, at)}` };
  }
  const { absent, present, greater, less } = conditions;
  if (absent && (present || greater || less)) {
    return { error: "ERR NX and XX, GT or LT options at the same time are not compatible" };
  }
  if (greater && less) return { error: "ERR GT and LT options at the same time are not compatible" };
  return conditions;
}

/** A key that does not expire counts as expiring after all time. */
function allows({ absent, present, greater, less }: Conditions, { expiresAt }: Stored, at: number): boolean {
  if (absent && expiresAt !== undefined) return false;
  if (present && expiresAt === undefined) return false;
  if (greater && (expiresAt === undefined || at <= expiresAt)) return false;
  return !(less && expiresAt !== undefined && at >= expiresAt);
}

/** -2: no such key, -1: it does not expire. */
function timeLeft(writing: Writing, argv: Argv, inUnit: (ms: number) => number): Reply {
  const stored = find(writing, argument(argv, 1));
  if (stored === undefined) return -2;
  return stored.expiresAt === undefined ? -1 : inUnit(stored.expiresAt - writing.now);
}

function expiryTime(reading: Reading, argv: Argv, inUnit: (at: number) => number): Reply {
  const stored = find(reading, argument(argv, 1));
  if (stored === undefined) return -2;
  return stored.expiresAt === undefined ? -1 : inUnit(stored.expiresAt);
}

function persist(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const stored = findForWrite(writing, key);
  if (stored?.expiresAt === undefined) return 0;
  setExpiry(writing, key, stored, undefined);
  return 1;
}
