/**
 * Commands on keys, whatever they hold: existence, removal, names, scanning. Expiry is in `expiry.ts`.
 *
 * Owns: DEL to FLUSHALL below, with Redis's replies. SCAN's cursors are positions of the collection `entries`, so they mean the same on
 * every replica and after any change: a key that is present during the whole scan is returned, exactly once.
 */
import { matchesGlob } from "../glob.js";
import { parseSafeInteger } from "../integers.js";
import {
  find,
  findForWrite,
  isExpired,
  newId,
  put,
  putString,
  remove,
  removeAll,
  rename,
  setExpiry,
  versionOf,
} from "../keyspace.js";
import { kvLimits } from "../limits.js";
import { copyParts } from "../parts.js";
import { errors, type Reply } from "../reply.js";
import type { Reading, Stored, Writing } from "../state.js";
import {
  allKeys,
  argument,
  noKeys,
  oneKey,
  option,
  ordered,
  read,
  readBulky,
  write,
  type Argv,
  type CommandRow,
} from "./command.js";

export const keyCommands: readonly CommandRow[] = [
  write({ name: "del", arity: -2, keys: allKeys }, removeMany),
  write({ name: "unlink", arity: -2, keys: allKeys }, removeMany),
  read({ name: "exists", arity: -2, keys: allKeys }, countPresent),
  read({ name: "touch", arity: -2, keys: allKeys }, countPresent),
  read({ name: "type", arity: 2, keys: oneKey }, (reading, argv) => ({
    status: typeOf(find(reading, argument(argv, 1))),
  })),
  read({ name: "dbsize", arity: 1, keys: noKeys }, (reading) => reading.state.entries.size),
  readBulky({ name: "keys", arity: 2, keys: noKeys }, listKeys),
  readBulky({ name: "scan", arity: -2, keys: noKeys }, scan),
  ordered({ name: "randomkey", arity: 1, keys: noKeys }, randomKey),
  write({ name: "rename", arity: 3, keys: [1, 2, 1] }, (writing, argv) =>
    move(writing, argv, true) === 0 ? errors.noSuchKey : true,
  ),
  write({ name: "renamenx", arity: 3, keys: [1, 2, 1] }, renameIfAbsent),
  write({ name: "copy", arity: -3, keys: [1, 2, 1] }, copy),
  // Inside the door WATCH keeps these; nothing else asks for them.
  read({ name: "watch", arity: -2, keys: allKeys }, (reading, argv) =>
    argv.slice(1).map((key) => versionOf(reading, key)),
  ),
  write({ name: "flushall", arity: -1, keys: noKeys }, flush),
  write({ name: "flushdb", arity: -1, keys: noKeys }, flush),
];

/** Redis's word for what a key holds. */
function typeOf(stored: Stored | undefined): string {
  if (stored === undefined) return "none";
  return stored.kind === "sortedSet" ? "zset" : stored.kind;
}

function removeMany(writing: Writing, argv: Argv): Reply {
  let removed = 0;
  for (let at = 1; at < argv.length; at += 1) if (remove(writing, argument(argv, at))) removed += 1;
  return removed;
}

function countPresent(reading: Reading, argv: Argv): Reply {
  let present = 0;
  for (let at = 1; at < argv.length; at += 1) if (find(reading, argument(argv, at)) !== undefined) present += 1;
  return present;
}

function listKeys(reading: Reading, argv: Argv): Reply {
  const pattern = argument(argv, 1);
  const keys: string[] = [];
  for (const [key, stored] of reading.state.entries.entries()) {
    if (!isExpired(stored, reading.now) && (pattern === "*" || matchesGlob(pattern, key))) keys.push(key);
  }
  return keys;
}

interface ScanOptions {
  pattern: string;
  type: string | undefined;
  count: number;
}

function scan(reading: Reading, argv: Argv): Reply {
  const cursor = argument(argv, 1);
  const position = parseSafeInteger(cursor);
  if (position === undefined || position < 0) return { error: "ERR invalid cursor" };
  const options = readScanOptions(argv);
  if ("error" in options) return options;
  const page = reading.state.entries.scan(position, Math.min(options.count, kvLimits.scanCountMax));
  const keys: string[] = [];
  for (const [key, stored] of page.entries) {
    if (isExpired(stored, reading.now)) continue;
    if (options.type !== undefined && typeOf(stored) !== options.type) continue;
    if (options.pattern === "*" || matchesGlob(options.pattern, key)) keys.push(key);
  }
  return [String(page.next ?? 0), keys];
}

function readScanOptions(argv: Argv): ScanOptions | { readonly error: string } {
  const options: ScanOptions = { pattern: "*", type: undefined, count: 10 };
  for (let at = 2; at < argv.length; at += 2) {
    const value = argv[at + 1];
    if (value === undefined) return errors.syntax;
    switch (option(argv, at)) {
      case "MATCH":
        options.pattern = value;
        break;
      case "TYPE":
        options.type = value.toLowerCase();
        break;
      case "COUNT": {
        const count = parseSafeInteger(value);
        if (count === undefined) return errors.notInteger;
        if (count < 1) return errors.syntax;
        options.count = count;
        break;
      }
      default:
        return errors.syntax;
    }
  }
  return options;
}

/** As documented for scans of a map. */
const scanPositions = 2 ** 30;

/**
 * Keys lie evenly spread over the positions of a scan, and a page may hold several, so one of them is drawn. Expired ones are
 * passed over a bounded number of times.
 */
function randomKey(writing: Writing): Reply {
  const { entries } = writing.state;
  for (let attempt = 0; attempt < 100 && entries.size > 0; attempt += 1) {
    const page = entries.scan(Math.floor(writing.random() * scanPositions), 1);
    const found = page.entries.length > 0 ? page.entries : entries.scan(0, 1).entries;
    const [key, stored] = found[Math.floor(writing.random() * found.length)] ?? [];
    if (key !== undefined && stored !== undefined && !isExpired(stored, writing.now)) return key;
  }
  return null;
}

/** 1 if the key has its new name, 0 if there is no such key. A name that exists is taken over only if `overwrites`. */
function move(writing: Writing, argv: Argv, overwrites: boolean): 0 | 1 | "taken" {
  const from = argument(argv, 1);
  const to = argument(argv, 2);
  const stored = findForWrite(writing, from);
  if (stored === undefined) return 0;
  if (!overwrites && findForWrite(writing, to) !== undefined) return "taken";
  if (from !== to) rename(writing, from, stored, to);
  return 1;
}

function renameIfAbsent(writing: Writing, argv: Argv): Reply {
  const moved = move(writing, argv, false);
  if (moved === "taken") return 0;
  return moved === 0 ? errors.noSuchKey : 1;
}

function copy(writing: Writing, argv: Argv): Reply {
  const from = argument(argv, 1);
  const to = argument(argv, 2);
  let replaces = false;
  for (let at = 3; at < argv.length; at += 1) {
    if (option(argv, at) === "REPLACE") replaces = true;
    else if (option(argv, at) === "DB" && argv[at + 1] !== undefined) {
      if (parseSafeInteger(argument(argv, at + 1)) === undefined) return errors.notInteger;
      if (argument(argv, at + 1) !== "0") return { error: "ERR DB index is out of range" };
      at += 1;
    } else return errors.syntax;
  }
  if (from === to) return { error: "ERR source and destination objects are the same" };
  const stored = findForWrite(writing, from);
  if (stored === undefined) return 0;
  if (findForWrite(writing, to) !== undefined) {
    if (!replaces) return 0;
    remove(writing, to);
  }
  copyTo(writing, stored, to);
  return 1;
}

function copyTo(writing: Writing, stored: Stored, to: string): void {
  if (stored.kind === "string") return putString(writing, to, stored.value, stored.expiresAt);
  const id = newId(writing);
  copyParts(writing.state, stored, id);
  const { expiresAt, ...lasting } = stored;
  put(writing, to, { ...lasting, id });
  if (expiresAt !== undefined) setExpiry(writing, to, { ...lasting, id }, expiresAt);
}

function flush(writing: Writing, argv: Argv): Reply {
  const mode = option(argv, 1);
  if (argv.length > 2 || (argv.length === 2 && mode !== "ASYNC" && mode !== "SYNC")) return errors.syntax;
  removeAll(writing);
  return true;
}
