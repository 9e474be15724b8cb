/**
 * Plain data on its way into and out of the state.
 *
 * Owns: the one copy that is checked, frozen and kept, with properties in canonical order, so that a value which was restored from a
 * snapshot shows its properties in the same order as one that was set (hazard N1). It takes exactly what `wire/canonical.ts`
 * encodes. Called by the tables of the collections.
 */
import type { Key, SortedKey } from "../api/state.js";
import { requestLimits } from "../model/request-limits.js";
import {
  canonicalDepthMax,
  describeRefused,
  isPlainObject,
  isWellFormed,
  NotCanonical,
  pathStep,
  sortedKeyCount,
} from "../wire/canonical.js";

export class PlainCopier {
  /** What the copies weigh, roughly their canonical form: 9 for a scalar, 2 more than its length for text and bytes, 2 for a compound. */
  bytes = 0;
  /** The last copy has bytes in it: it cannot be frozen whole, and is copied again on its way out. */
  hasBytes = false;
  readonly #path: (string | number)[] = [];
  readonly #bytesMax: number;
  /** Where the bytes of the value that is being copied end, at the latest. */
  #bytesEnd = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @throws NotCanonical with the path inside of the value: the caller knows where the value was going to. */
  copy(value: unknown): unknown {
    this.hasBytes = false;
    this.#bytesEnd = this.bytes + requestLimits.valueBytesMax;
    const copied = this.#copy(value, 0);
    if (this.bytes > this.#bytesEnd) this.#refuseLength();
    return copied;
  }

  /** The key is kept too. @throws NotCanonical */
  weigh(key: SortedKey, collection: string): void {
    const weight = typeof key === "object" ? weightOfTuple(key) : weightOf(key);
    this.bytes += weight;
    if (weight > requestLimits.stateKeyBytesMax)
      throw new NotCanonical(`a key of ${collection}`, `it takes more than ${requestLimits.stateKeyBytesMax} bytes`);
  }

  #copy(value: unknown, depth: number): unknown {
    // One question after the other: to switch over a type, which is a text, is a call of the engine.
    if (typeof value === "string") {
      if (!isWellFormed(value)) this.#refuse(depth, "the string has a lone surrogate, which has no UTF-8");
      this.bytes += value.length + 2;
      return value;
    }
    if (typeof value === "number") {
      if (!Number.isFinite(value)) this.#refuse(depth, `${String(value)} is not a finite number`);
      this.bytes += 9;
      return value;
    }
    if (typeof value === "object") {
      if (value === null) return value;
      if (depth >= canonicalDepthMax) {
        this.#refuse(depth, `it is nested deeper than ${canonicalDepthMax} levels, or contains itself`);
      }
      return this.#copyCompound(value, depth);
    }
    if (typeof value === "boolean" || typeof value === "bigint") {
      this.bytes += weightOf(value);
      return value;
    }
    return this.#refuse(depth, `${describeRefused(value)} is not plain data`);
  }

  /** What is small in memory may weigh much: a part counts wherever it is used, so a copy of it would be large as well. */
  #copyCompound(value: object, depth: number): unknown {
    if (this.bytes > this.#bytesEnd || this.bytes > this.#bytesMax) this.#refuseLength();
    if (value instanceof Uint8Array) {
      this.hasBytes = true;
      this.bytes += value.length + 2;
      return Uint8Array.prototype.slice.call(value);
    }
    this.bytes += 2;
    if (Array.isArray(value)) return this.#copyArray(value, depth);
    if (!isPlainObject(value)) this.#refuse(depth, `${describeRefused(value)} is not plain data`);
    return this.#copyObject(value, depth);
  }

  #copyArray(items: readonly unknown[], depth: number): unknown {
    const copy: unknown[] = [];
    for (let at = 0; at < items.length; at += 1) {
      this.#path[depth] = at;
      const item = items[at];
      if (item === undefined) this.#refuse(depth + 1, "undefined and holes have no canonical form in an array");
      copy.push(this.#copy(item, depth + 1));
    }
    return Object.freeze(copy);
  }

  #copyObject(value: Readonly<Record<string, unknown>>, depth: number): unknown {
    const copy: Record<string, unknown> = {};
    if (Number.isNaN(sortedKeyCount(value))) {
      for (const key of sortKeys(Object.keys(value))) this.#copyProperty(copy, key, value[key], depth);
    } else {
      for (const key in value) if (isOwn.call(value, key)) this.#copyProperty(copy, key, value[key], depth);
    }
    return Object.freeze(copy);
  }

  #copyProperty(copy: Record<string, unknown>, key: string, item: unknown, depth: number): void {
    if (item === undefined) return;
    this.#path[depth] = key;
    if (!isWellFormed(key)) this.#refuse(depth + 1, "the key has a lone surrogate, which has no UTF-8");
    this.bytes += key.length + 1;
    setOwn(copy, key, this.#copy(item, depth + 1));
  }

  /** Of the value, or of all that one command writes: that is said by who counts it. */
  #refuseLength(): never {
    throw new NotCanonical("", `it takes more than ${requestLimits.valueBytesMax} bytes`);
  }

  #refuse(depth: number, reason: string): never {
    throw new NotCanonical(this.#path.slice(0, depth).map(pathStep).join(""), reason);
  }
}

const isOwn = Object.prototype.hasOwnProperty;
const smallBigint = 2n ** 63n;

function weightOf(scalar: Key): number {
  if (typeof scalar === "string") return scalar.length + 2;
  // Small ones weigh as a number; the digits of others are only counted when they can matter.
  const isLarge = typeof scalar === "bigint" && (scalar < -smallBigint || scalar > smallBigint);
  return isLarge ? scalar.toString(16).length : 9;
}

function weightOfTuple(key: readonly Key[]): number {
  let weight = 2;
  for (let at = 0; at < key.length; at += 1) weight += weightOf(key[at] as Key);
  return weight;
}

/** In place. Most objects have few keys, and for these the engine's own sort costs more than all else that is done with them. */
function sortKeys(keys: string[]): string[] {
  if (keys.length > 16) return keys.sort((left, right) => (left < right ? -1 : 1));
  for (let at = 1; at < keys.length; at += 1) {
    const key = keys[at] ?? "";
    let to = at;
    for (; to > 0 && (keys[to - 1] ?? "") > key; to -= 1) keys[to] = keys[to - 1] ?? "";
    keys[to] = key;
  }
  return keys;
}

/** What a command may have: the kept value itself if it is frozen whole, else a copy in which bytes are the reader's own. */
export function copyOut(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return Object.freeze(value.map(copyOut));
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) setOwn(copy, key, copyOut(item));
  return Object.freeze(copy);
}

/** The setter of `__proto__` would change what the object is; to us it is a name like any other. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== "__proto__") target[key] = value;
  else Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}
