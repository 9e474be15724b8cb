/**
 * Keys of collections: which values may be one, when two are the same, their order, and their position.
 *
 * Owns: the rules. A position is a hash of 30 bits that decides where a key lies in the trie, so it is part of what makes equal states
 * equal: it must never change. It need not resist an attacker: many keys of one position cost time, never a wrong answer, since
 * digests are made of whole keys. Called by the collections.
 */
import type { Key, SortedKey } from "../api/state.js";
import { canonicalDepthMax, isWellFormed, NotCanonical } from "../wire/canonical.js";

/** Positions lie from 0 to `positionCount - 1`. */
export const positionBits = 30;
export const positionCount = 2 ** positionBits;
/** Elements of a tuple that is a key. */
const tupleLengthMax = canonicalDepthMax;

/** The key as it is kept: checked, -0 made 0 as JavaScript's own maps do, tuples copied and frozen. @throws NotCanonical */
export function admitKey(key: SortedKey, collection: string): SortedKey {
  if (typeof key === "object") return admitTuple(key, collection);
  return admitScalar(key, collection);
}

export function admitScalar(key: Key, collection: string): Key {
  if (typeof key === "string") {
    if (!isWellFormed(key)) throw refusal(collection, "the string has a lone surrogate, which has no UTF-8");
    return key;
  }
  if (typeof key === "number") {
    if (!Number.isFinite(key)) throw refusal(collection, `${String(key)} is not a finite number`);
    return key === 0 ? 0 : key;
  }
  if (typeof key === "bigint" || typeof key === "boolean") return key;
  throw refusal(collection, `${key === null ? "null" : typeof key} is not a string, number, bigint or boolean`);
}

function admitTuple(key: readonly Key[], collection: string): SortedKey {
  if (!Array.isArray(key)) throw refusal(collection, "an object is not a key");
  if (key.length > tupleLengthMax) throw refusal(collection, `a tuple has at most ${tupleLengthMax} elements`);
  const copy: Key[] = [];
  for (let at = 0; at < key.length; at += 1) copy.push(admitScalar(key[at] as Key, collection));
  return Object.freeze(copy);
}

function refusal(collection: string, reason: string): NotCanonical {
  return new NotCanonical(`a key of ${collection}`, reason);
}

export function isSameKey(left: SortedKey, right: SortedKey): boolean {
  return left === right || (typeof left === "object" && typeof right === "object" && compareTuples(left, right) === 0);
}

/** Ascending: false, true, numbers, bigints, strings by UTF-16 units, tuples element by element. */
export function compareKeys(left: SortedKey, right: SortedKey): number {
  // Of one type first: to compare what may be anything, types too, is a call of the engine.
  if (typeof left === "number" && typeof right === "number") return left === right ? 0 : left < right ? -1 : 1;
  if (typeof left === "string" && typeof right === "string") return left === right ? 0 : left < right ? -1 : 1;
  if (typeof left === "object" && typeof right === "object") return compareTuples(left, right);
  if (left === right) return 0;
  const ranks = rankOf(left) - rankOf(right);
  if (ranks !== 0) return ranks;
  return left < right ? -1 : 1;
}

function compareTuples(left: readonly Key[], right: readonly Key[]): number {
  const shared = Math.min(left.length, right.length);
  for (let at = 0; at < shared; at += 1) {
    const order = compareKeys(left[at] as Key, right[at] as Key);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function rankOf(key: SortedKey): number {
  switch (typeof key) {
    case "boolean":
      return 0;
    case "number":
      return 1;
    case "bigint":
      return 2;
    case "string":
      return 3;
    default:
      return 4;
  }
}

export function positionOf(key: SortedKey): number {
  return finish(mixKey(0x2545_f491, key)) >>> (32 - positionBits);
}

/** One question after the other: to switch over a type, which is a text, is a call of the engine. */
function mixKey(hash: number, key: SortedKey): number {
  if (typeof key === "string") return mixText(hash ^ 3, key);
  if (typeof key === "number") return mixNumber(hash ^ 1, key);
  if (typeof key === "object") return mixTuple(hash ^ 4, key);
  if (typeof key === "boolean") return mix(hash, key ? 1 : 0);
  return mixText(hash ^ 2, key.toString(36));
}

function mixTuple(hash: number, key: readonly Key[]): number {
  let mixed = hash;
  // By place: an iterator over what is frozen costs more than the hash.
  for (let at = 0; at < key.length; at += 1) mixed = finish(mixKey(mixed, key[at] as Key));
  return mixed;
}

function mixText(hash: number, text: string): number {
  let mixed = hash;
  for (let at = 0; at < text.length; at += 1)
    mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x9e37_79b1) ^ (mixed >>> 13);
  return mixed;
}

const double = new DataView(new ArrayBuffer(8));

function mixNumber(hash: number, value: number): number {
  if ((value | 0) === value) return mix(hash, value);
  double.setFloat64(0, value);
  return mix(mix(hash, double.getInt32(0)), double.getInt32(4));
}

function mix(hash: number, word: number): number {
  return Math.imul(finish(hash ^ word), 0x9e37_79b1);
}

/** The finisher of MurmurHash3 (Austin Appleby): every bit of the input reaches every bit of the output. */
function finish(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
