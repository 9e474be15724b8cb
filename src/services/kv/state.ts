/**
 * What the key-value machine keeps, and the two ways commands see it.
 *
 * Owns: the shapes of state. Leaves to others: how keys come and go (`keyspace.ts`), what commands do with them (`commands/`).
 *
 * All text in it is "latin1": one character stands for one byte, so any bytes that a Redis client sends can be held.
 *
 *     entries    key → what it holds; for a list, hash, set or sorted set only its counts and the id of its parts
 *     expiries   [expiresAt, key], one for each entry that expires
 *     removals   1024 buckets of keys → log index of the last removal of a key in the bucket (see `versionOf`)
 *     elements   [id, place] → element of a list              fields   [id, field] → value of a hash
 *     members    [id, member] → slot of a set                 slots    [id, slot] → member of a set, without gaps from 0
 *     scores     [id, member] → score of a sorted set         ranks    [id, score, member], the same in order of score
 *     graves     id → kind: the key is gone, its parts wait to be swept
 *     nextId     ids are never given twice, so that parts in a grave cannot come back to life
 *
 * Invariants: KV1 an entry has a row in `expiries` exactly if it has `expiresAt`. KV2 an id is that of one entry or of one grave. KV3 lists, hashes, sets
 * and sorted sets are never empty. KV4 `slots` and `members`, and `ranks` and `scores`, mirror each other for every id of an entry.
 */
import type { StateCell, StateMap, StateSortedMap, ViewOf } from "../../index.js";

interface Entry {
  /** Agreed time from which the key no longer exists; absent if it stays. */
  readonly expiresAt?: number | undefined;
  /** Index of the log entry that wrote it last. */
  readonly changedAt: number;
}

export interface StringEntry extends Entry {
  readonly kind: "string";
  readonly value: string;
}

export interface ListEntry extends Entry {
  readonly kind: "list";
  readonly id: number;
  /** Elements lie at places `first` to `first + count - 1`; a place may be negative. */
  readonly first: number;
  readonly count: number;
}

/** Its parts are counted here and lie in the collections named above. */
export interface PartsEntry<Kind extends "hash" | "set" | "sortedSet"> extends Entry {
  readonly kind: Kind;
  readonly id: number;
  readonly count: number;
}

export type HashEntry = PartsEntry<"hash">;
export type SetEntry = PartsEntry<"set">;
export type SortedSetEntry = PartsEntry<"sortedSet">;
export type Stored = StringEntry | ListEntry | HashEntry | SetEntry | SortedSetEntry;
export type PartsKind = "list" | "hash" | "set" | "sortedSet";

export type KvState = {
  readonly entries: StateMap<string, Stored>;
  readonly expiries: StateSortedMap<readonly [number, string], true>;
  readonly removals: StateMap<number, number>;
  readonly elements: StateSortedMap<readonly [number, number], string>;
  readonly fields: StateSortedMap<readonly [number, string], string>;
  readonly members: StateSortedMap<readonly [number, string], number>;
  readonly slots: StateSortedMap<readonly [number, number], string>;
  readonly scores: StateSortedMap<readonly [number, string], number>;
  readonly ranks: StateSortedMap<readonly [number, number, string], true>;
  readonly graves: StateSortedMap<number, PartsKind>;
  readonly nextId: StateCell<number>;
};

/** What a command that only reads is given. */
export interface Reading {
  readonly state: ViewOf<KvState>;
  /** Agreed time, in milliseconds. */
  readonly now: number;
}

/** What an ordered command is given. */
export interface Writing extends Reading {
  readonly state: KvState;
  /** Index of the log entry being executed. */
  readonly index: number;
  /** In [0, 1), the same on every replica. */
  random(): number;
}
