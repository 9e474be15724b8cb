/**
 * Sorted sets: members by name with their scores, and the same again in order of score.
 *
 * Owns: ZADD to ZPOPMAX below, and invariant KV4 for sorted sets. ZRANGE knows places only, not BYSCORE and BYLEX.
 */
import { formatScore, parseScore } from "../doubles.js";
import { parseSafeInteger } from "../integers.js";
import { newId, put, remove } from "../keyspace.js";
import { kvLimits } from "../limits.js";
import { ranksOf } from "../parts.js";
import { errors, type Reply } from "../reply.js";
import type { SortedSetEntry, Reading, Writing } from "../state.js";
import {
  argument,
  findKind,
  findKindForWrite,
  oneKey,
  option,
  rangeWithin,
  read,
  readBulky,
  readCount,
  write,
  writeBulky,
  type Argv,
  type CommandRow,
} from "./command.js";

export const sortedSetCommands: readonly CommandRow[] = [
  write({ name: "zadd", arity: -4, keys: oneKey }, add),
  write({ name: "zrem", arity: -3, keys: oneKey }, removeMembers),
  writeBulky({ name: "zpopmin", arity: -2, keys: oneKey }, (writing, argv) => pop(writing, argv, false)),
  writeBulky({ name: "zpopmax", arity: -2, keys: oneKey }, (writing, argv) => pop(writing, argv, true)),
  read({ name: "zcard", arity: 2, keys: oneKey }, (reading, argv) => {
    const set = findKind(reading, argument(argv, 1), "sortedSet");
    return set === "wrongType" ? errors.wrongType : (set?.count ?? 0);
  }),
  read({ name: "zscore", arity: 3, keys: oneKey }, (reading, argv) => {
    const set = findKind(reading, argument(argv, 1), "sortedSet");
    if (set === undefined || set === "wrongType") return set === undefined ? null : errors.wrongType;
    const score = reading.state.scores.get([set.id, argument(argv, 2)]);
    return score === undefined ? null : { double: formatScore(score) };
  }),
  readBulky({ name: "zrange", arity: -4, keys: oneKey }, range),
];

interface AddOptions {
  absent: boolean;
  present: boolean;
  greater: boolean;
  less: boolean;
  countsChanged: boolean;
  increments: boolean;
}

function add(writing: Writing, argv: Argv): Reply {
  const { options, next } = readAddOptions(argv);
  const { absent, present, greater, less, increments } = options;
  const pairs = readPairs(argv, next);
  if (pairs === "syntax") return errors.syntax;
  if (absent && present) return { error: "ERR XX and NX options at the same time are not compatible" };
  if ((greater && less) || (absent && (greater || less))) {
    return { error: "ERR GT, LT, and/or NX options at the same time are not compatible" };
  }
  if (increments && argv.length - next > 2)
    return { error: "ERR INCR option supports a single increment-element pair" };
  if (pairs === "notFloat") return errors.notFloat;
  if (pairs.some(({ member }) => member.length > kvLimits.valueBytesMax)) return errors.tooLong;
  const found = findKindForWrite(writing, argument(argv, 1), "sortedSet");
  if (found === "wrongType") return errors.wrongType;
  if (found === undefined && present) return increments ? null : 0;
  return addPairs(writing, argument(argv, 1), found, { options, pairs });
}

function readAddOptions(argv: Argv): { options: AddOptions; next: number } {
  const options = {
    absent: false,
    present: false,
    greater: false,
    less: false,
    countsChanged: false,
    increments: false,
  };
  for (let at = 2; ; at += 1) {
    switch (option(argv, at)) {
      case "NX":
        options.absent = true;
        break;
      case "XX":
        options.present = true;
        break;
      case "GT":
        options.greater = true;
        break;
      case "LT":
        options.less = true;
        break;
      case "CH":
        options.countsChanged = true;
        break;
      case "INCR":
        options.increments = true;
        break;
      default:
        return { options, next: at };
    }
  }
}

interface Pair {
  readonly score: number;
  readonly member: string;
}

function readPairs(argv: Argv, start: number): readonly Pair[] | "syntax" | "notFloat" {
  if (start >= argv.length || (argv.length - start) % 2 !== 0) return "syntax";
  const pairs: Pair[] = [];
  for (let at = start; at < argv.length; at += 2) {
    const score = parseScore(argument(argv, at));
    if (score === undefined) return "notFloat";
    pairs.push({ score, member: argument(argv, at + 1) });
  }
  return pairs;
}

interface Addition {
  readonly options: AddOptions;
  readonly pairs: readonly Pair[];
}

function addPairs(writing: Writing, key: string, found: SortedSetEntry | undefined, addition: Addition): Reply {
  const { options, pairs } = addition;
  const set: SortedSetEntry = found ?? { kind: "sortedSet", id: newId(writing), count: 0, changedAt: 0 };
  let added = 0;
  let changed = 0;
  let last: number | undefined;
  for (const pair of pairs) {
    const before = writing.state.scores.get([set.id, pair.member]);
    const score = options.increments ? (before ?? 0) + pair.score : pair.score;
    if (!Number.isFinite(score)) return { error: "ERR resulting score is not a number (NaN)" };
    if (!allows(options, before, score)) continue;
    last = score;
    if (before === score) continue;
    setScore(writing, set.id, pair.member, { before, score });
    if (before === undefined) added += 1;
    else changed += 1;
  }
  if (added + changed > 0) put(writing, key, { ...set, count: set.count + added });
  if (options.increments) return last === undefined ? null : { double: formatScore(last) };
  return options.countsChanged ? added + changed : added;
}

function allows({ absent, present, greater, less }: AddOptions, before: number | undefined, score: number): boolean {
  if (before === undefined) return !present;
  if (absent) return false;
  return !(greater && score <= before) && !(less && score >= before);
}

function setScore(
  writing: Writing,
  id: number,
  member: string,
  change: { readonly before: number | undefined; readonly score: number },
): void {
  const { scores, ranks } = writing.state;
  if (change.before !== undefined) ranks.delete([id, change.before, member]);
  scores.set([id, member], change.score);
  ranks.set([id, change.score, member], true);
}

function removeMembers(writing: Writing, argv: Argv): Reply {
  const key = argument(argv, 1);
  const set = findKindForWrite(writing, key, "sortedSet");
  if (set === undefined) return 0;
  if (set === "wrongType") return errors.wrongType;
  let removed = 0;
  for (const member of argv.slice(2)) if (removeMember(writing, set.id, member)) removed += 1;
  settle(writing, key, set, set.count - removed);
  return removed;
}

function removeMember(writing: Writing, id: number, member: string): boolean {
  const score = writing.state.scores.get([id, member]);
  if (score === undefined) return false;
  writing.state.scores.delete([id, member]);
  writing.state.ranks.delete([id, score, member]);
  return true;
}

function settle(writing: Writing, key: string, set: SortedSetEntry, count: number): void {
  if (count === 0) remove(writing, key);
  else if (count < set.count) put(writing, key, { ...set, count });
}

function pop(writing: Writing, argv: Argv, highest: boolean): Reply {
  if (argv.length > 3) return errors.syntax;
  const key = argument(argv, 1);
  const wanted = readCount(argv, 2);
  if (wanted.kind === "bad") return wanted.error;
  const set = findKindForWrite(writing, key, "sortedSet");
  if (set === "wrongType") return errors.wrongType;
  if (set === undefined) return [];
  const count = wanted.kind === "none" ? 1 : Math.min(wanted.count, set.count);
  if (count === 0) return [];
  const rows = [...writing.state.ranks.range({ ...ranksOf(set.id), limit: count, reverse: highest })];
  const reply: Reply[] = [];
  for (const [[, score, member]] of rows) {
    removeMember(writing, set.id, member);
    reply.push(member, { double: formatScore(score) });
  }
  settle(writing, key, set, set.count - rows.length);
  return wanted.kind === "none" ? reply : { pairs: reply };
}

function range(reading: Reading, argv: Argv): Reply {
  let reverse = false;
  let withScores = false;
  for (let at = 4; at < argv.length; at += 1) {
    if (option(argv, at) === "REV") reverse = true;
    else if (option(argv, at) === "WITHSCORES") withScores = true;
    else return errors.syntax;
  }
  const start = parseSafeInteger(argument(argv, 2));
  const stop = parseSafeInteger(argument(argv, 3));
  if (start === undefined || stop === undefined) return errors.notInteger;
  const set = findKind(reading, argument(argv, 1), "sortedSet");
  if (set === "wrongType") return errors.wrongType;
  const within = set === undefined ? undefined : rangeWithin(start, stop, set.count);
  if (set === undefined || within === undefined) return [];
  const rows = reading.state.ranks.range({ ...ranksOf(set.id), limit: within.last + 1, reverse });
  const reply: Reply[] = [];
  let place = 0;
  for (const [[, score, member]] of rows) {
    if (place >= within.first) reply.push(...(withScores ? [member, { double: formatScore(score) }] : [member]));
    place += 1;
  }
  return withScores ? { pairs: reply } : reply;
}
