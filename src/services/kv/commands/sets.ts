/**
 * Sets: members have slots without gaps, so a random one is found at once; the last one moves into the slot of a removed one.
 *
 * Owns: SADD to SPOP below, and invariant KV4 for sets. Members are listed by slot.
 */
import { newId, put, remove } from "../keyspace.js";
import { kvLimits } from "../limits.js";
import { numbersOf } from "../parts.js";
import { errors, type Reply } from "../reply.js";
import type { SetEntry, Reading, Writing } from "../state.js";
import {
  argument,
  findKind,
  findKindForWrite,
  oneKey,
  read,
  readBulky,
  readCount,
  write,
  writeBulky,
  type Argv,
  type CommandRow,
} from "./command.js";

export const setCommands: readonly CommandRow[] = [
  write({ name: "sadd", arity: -3, keys: oneKey }, add),
  write({ name: "srem", arity: -3, keys: oneKey }, removeMembers),
  writeBulky({ name: "spop", arity: -2, keys: oneKey }, pop),
  read({ name: "scard", arity: 2, keys: oneKey }, (reading, argv) => {
    const set = findKind(reading, argument(argv, 1), "set");
    return set === "wrongType" ? errors.wrongType : (set?.count ?? 0);
  }),
  read({ name: "sismember", arity: 3, keys: oneKey }, (reading, argv) => {
    const set = findKind(reading, argument(argv, 1), "set");
    if (set === undefined || set === "wrongType") return set === undefined ? 0 : errors.wrongType;
    return reading.state.members.has([set.id, argument(argv, 2)]) ? 1 : 0;
  }),
  readBulky({ name: "smembers", arity: 2, keys: oneKey }, list),
];

function add(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const names = argv.slice(2);
  if (names.some((name) => name.length > kvLimits.valueBytesMax)) return errors.tooLong;
  const found = findKindForWrite(writing, key, "set");
  if (found === "wrongType") return errors.wrongType;
  const set: SetEntry = found ?? { kind: "set", id: newId(writing), count: 0, changedAt: 0 };
  const { members, slots } = writing.state;
  let count = set.count;
  for (const name of names) {
    if (members.has([set.id, name])) continue;
    members.set([set.id, name], count);
    slots.set([set.id, count], name);
    count += 1;
  }
  if (count > set.count) put(writing, key, { ...set, count });
  return count - set.count;
}

function removeMembers(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const set = findKindForWrite(writing, key, "set");
  if (set === undefined) return 0;
  if (set === "wrongType") return errors.wrongType;
  let { count } = set;
  for (const name of argv.slice(2)) if (removeMember(writing, set.id, name, count)) count -= 1;
  settle(writing, key, set, count);
  return set.count - count;
}

/** Whether it was a member of the `count` there are. */
function removeMember(writing: Writing, id: number, name: string, count: number): boolean {
  const { members, slots } = writing.state;
  const slot = members.get([id, name]);
  if (slot === undefined) return false;
  members.delete([id, name]);
  const last = slots.get([id, count - 1]);
  slots.delete([id, count - 1]);
  if (last !== undefined && slot !== count - 1) {
    slots.set([id, slot], last);
    members.set([id, last], slot);
  }
  return true;
}

/** Writes what is left of the set after removals. */
function settle(writing: Writing, key: string, set: SetEntry, count: number): void {
  if (count === 0) remove(writing, key);
  else if (count < set.count) put(writing, key, { ...set, count });
}

function pop(writing: Writing, argv: Argv): Reply {
  if (argv.length > 3) return errors.syntax;
  const key = argument(argv, 1);
  const wanted = readCount(argv, 2);
  if (wanted.kind === "bad") return wanted.error;
  const set = findKindForWrite(writing, key, "set");
  if (set === "wrongType") return errors.wrongType;
  if (set === undefined) return wanted.kind === "none" ? null : { set: [] };
  const names: string[] = [];
  const count = wanted.kind === "none" ? 1 : Math.min(wanted.count, set.count);
  for (let left = set.count; left > set.count - count; left -= 1) {
    const name = writing.state.slots.get([set.id, Math.floor(writing.random() * left)]) ?? "";
    removeMember(writing, set.id, name, left);
    names.push(name);
  }
  settle(writing, key, set, set.count - count);
  return wanted.kind === "none" ? (names[0] ?? null) : { set: names };
}

function list(reading: Reading, argv: Argv): Reply {
  const set = findKind(reading, argument(argv, 1), "set");
  if (set === "wrongType") return errors.wrongType;
  const names: string[] = [];
  if (set === undefined) return { set: names };
  for (const [, name] of reading.state.slots.range(numbersOf(set.id))) names.push(name);
  return { set: names };
}
