/**
 * Where two replicas parted, and what differs in their states.
 *
 * Owns: the first differing entry of two trails, which of its requests were answered differently, and the comparison of two states part by part: first
 * sums of many keys each, and only where these differ the keys themselves.
 */
import { equalBytes } from "../../base/bytes.js";
import { equalFingerprints, FingerprintSum } from "../../base/fingerprint.js";
import { fingerprintOfEntry } from "../../collections/entry-fingerprint.js";
import { positionCount, positionOf } from "../../collections/key.js";
import type { NamedEntry } from "../../collections/snapshot-format.js";
import type { SortedKey } from "../../api/state.js";
import type { TrailEntry } from "../../model/audit.js";
import type { Reply, Request } from "../../model/request.js";
import { encodeValue } from "../../wire/canonical.js";
import { encodeReply } from "../../wire/reply-codec.js";
import { decodeBatch } from "../../wire/request-codec.js";

export interface FirstDifference {
  readonly left: TrailEntry;
  readonly right: TrailEntry;
  readonly parts: "outputs" | "state" | "outputs and state";
  /** The entry before is known to be equal: nothing earlier can differ. */
  readonly isExact: boolean;
}

/** Undefined if they have no entry in common, or are equal in all that they have. Both are in order and without gaps. */
export function firstDifference(
  left: readonly TrailEntry[],
  right: readonly TrailEntry[],
): FirstDifference | undefined {
  const from = Math.max(left[0]?.index ?? Infinity, right[0]?.index ?? Infinity);
  const to = Math.min(left.at(-1)?.index ?? 0, right.at(-1)?.index ?? 0);
  if (from > to) return undefined;
  const one = left.slice(from - (left[0]?.index ?? 0));
  const other = right.slice(from - (right[0]?.index ?? 0));
  const count = to - from + 1;
  // A digest of outputs includes all before it, so it stays different; a state may become equal again, so each is looked at.
  const outputAt = bisect(count, (at) => isEqual(one[at], other[at], "output"));
  let stateAt = 0;
  while (stateAt < count && isEqual(one[stateAt], other[stateAt], "state")) stateAt += 1;
  const at = Math.min(outputAt, stateAt);
  const [mine, its] = [one[at], other[at]];
  if (at === count || mine === undefined || its === undefined) return undefined;
  const parts = outputAt === stateAt ? "outputs and state" : at === outputAt ? "outputs" : "state";
  return { left: mine, right: its, parts, isExact: at > 0 };
}

/** The first place at which it does not hold, if it never does again behind that; `count` if it holds at all. */
function bisect(count: number, holds: (at: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isEqual(left: TrailEntry | undefined, right: TrailEntry | undefined, part: "output" | "state"): boolean {
  return left !== undefined && right !== undefined && equalFingerprints(left[part], right[part]);
}

export interface DifferentAnswer {
  readonly request: Request;
  readonly left: Reply | undefined;
  readonly right: Reply | undefined;
  readonly isEqual: boolean;
}

/** The requests of an entry with what both answered; undefined if that is no longer kept. */
export function answersOf(left: TrailEntry, right: TrailEntry): readonly DifferentAnswer[] | undefined {
  const content = left.content ?? right.content;
  if (content === undefined) return undefined;
  const requests = left.kind === "batch" ? (decodeBatch(content.payload) ?? []) : [];
  return requests.map((request, at) => {
    const [one, other] = [left.content?.answers[at]?.reply, right.content?.answers[at]?.reply];
    const isSame = one !== undefined && other !== undefined && equalBytes(encodeReply(one), encodeReply(other));
    return { request, left: one, right: other, isEqual: isSame };
  });
}

// --- states ---

const bucketCount = 1_024;

export interface CollectionSums {
  readonly count: number;
  /** Each key is in one of so many; high and low word of each sum. */
  readonly sums: Int32Array;
}

export type StateSums = ReadonlyMap<string, CollectionSums>;

/** Of a part of all keys. */
export interface Bucket {
  readonly collection: string;
  readonly bucket: number;
}

export function bucketOf(key: unknown): number {
  return Math.floor(positionOf(key as SortedKey) / (positionCount / bucketCount));
}

/** Adds up entry by entry. */
export class SumsOfState {
  readonly #collections = new Map<string, { count: number; readonly sums: FingerprintSum[] }>();

  add({ name, key, value }: NamedEntry): void {
    const collection = this.#collections.get(name) ?? newSums();
    this.#collections.set(name, collection);
    collection.count += 1;
    collection.sums[bucketOf(key)]?.add(fingerprintOfEntry(key, value));
  }

  get sums(): StateSums {
    return new Map(
      [...this.#collections].map(([name, { count, sums }]) => [
        name,
        { count, sums: Int32Array.from(sums.flatMap(({ high, low }) => [high, low])) },
      ]),
    );
  }
}

function newSums(): { count: number; readonly sums: FingerprintSum[] } {
  return { count: 0, sums: Array.from({ length: bucketCount }, () => new FingerprintSum()) };
}

export function differentBuckets(left: StateSums, right: StateSums): readonly Bucket[] {
  const names = [...new Set([...left.keys(), ...right.keys()])].sort();
  return names.flatMap((collection) => {
    const [one, other] = [left.get(collection)?.sums, right.get(collection)?.sums];
    return Array.from({ length: bucketCount }, (_, bucket) => bucket)
      .filter((bucket) => [0, 1].some((word) => (one?.[bucket * 2 + word] ?? 0) !== (other?.[bucket * 2 + word] ?? 0)))
      .map((bucket) => ({ collection, bucket }));
  });
}

export interface DifferentEntry {
  readonly collection: string;
  readonly key: unknown;
  readonly left: { readonly value: unknown } | undefined;
  readonly right: { readonly value: unknown } | undefined;
}

/** Of entries of the same buckets of two states. */
export function differentEntries(left: readonly NamedEntry[], right: readonly NamedEntry[]): readonly DifferentEntry[] {
  const [one, other] = [byPlace(left), byPlace(right)];
  return [...new Set([...one.keys(), ...other.keys()])].flatMap((place) => {
    const [mine, its] = [one.get(place), other.get(place)];
    const entry = mine ?? its;
    if (entry === undefined || textOf(mine) === textOf(its)) return [];
    return [{ collection: entry.name, key: entry.key, left: contentOf(mine), right: contentOf(its) }];
  });
}

function byPlace(entries: readonly NamedEntry[]): ReadonlyMap<string, NamedEntry> {
  return new Map(entries.map((entry) => [`${entry.name} ${String(encodeValue(entry.key))}`, entry]));
}

function textOf(entry: NamedEntry | undefined): string | undefined {
  return entry === undefined ? undefined : String(encodeValue(entry.value));
}

function contentOf(entry: NamedEntry | undefined): DifferentEntry["left"] {
  return entry === undefined ? undefined : { value: entry.value };
}
