/**
 * The collections that a machine keeps its state in, as a user sees them.
 *
 * Owns: the interfaces, each as a view for queries and a writable form for commands. Kept by `collections/`.
 *
 * Keys and values are plain data: null, booleans, finite numbers, bigints, well-formed strings, bytes, arrays and plain objects of
 * these. Anything else is refused when it is written, with the path to it. What is written is copied and frozen, and so is what
 * is read: to change a value, write it again. Bytes cannot be frozen and are copied out at each read.
 *
 * Everything that can be observed, the order of iteration included, follows from the content alone, never from its history.
 */

/** 1, 1n and "1" are three keys; 0 and -0 are one, as in JavaScript's own maps. Numbers are finite, strings well-formed. */
export type Key = string | number | bigint | boolean;

/**
 * In ascending order: false, true, numbers, bigints, strings (by UTF-16 units, as `<` does), tuples (element by element, a
 * shorter one before its continuations).
 */
export type SortedKey = Key | readonly Key[];

/** What is read is deeply read-only, as it is frozen when the program runs. */
export type Immutable<Value> = Value extends Primitive | Uint8Array
  ? Value
  : Value extends object
    ? { readonly [Name in keyof Value]: Immutable<Value[Name]> }
    : Value;

type Primitive = string | number | bigint | boolean | null | undefined | symbol;

/** Any of them; `kind` tells which. */
export interface Collection {
  readonly kind: "map" | "sortedMap" | "set" | "list" | "cell";
}

export interface MapView<K extends Key, V> extends Collection {
  readonly kind: "map";
  readonly size: number;
  get(key: K): Immutable<V> | undefined;
  has(key: K): boolean;
  /** In canonical order, which looks random. Goes over the content at its start, whatever is written meanwhile. */
  entries(): IterableIterator<readonly [K, Immutable<V>]>;
  keys(): IterableIterator<K>;
  values(): IterableIterator<Immutable<V>>;
  [Symbol.iterator](): IterableIterator<readonly [K, Immutable<V>]>;
  /** See `ScanPage`. */
  scan(position: number, count: number): ScanPage<K, V>;
}

/**
 * Part of a map: at least `count` entries from a position on, unless it ends before, in canonical order. `next` is the position to go on
 * from, `undefined` after the end. Positions are whole numbers from 0 to 2^30 - 1; 0 is the start. Positions stay meaningful while the map changes:
 * an entry that is present during a whole scan is returned by it, exactly once. Positions of keys are spread evenly, so a scan from
 * a random one picks at random.
 */
export interface ScanPage<K, V> {
  readonly entries: readonly (readonly [K, Immutable<V>])[];
  readonly next: number | undefined;
}

/** O(log n), in practice two or three steps. */
export interface StateMap<K extends Key, V> extends MapView<K, V> {
  set(key: K, value: Immutable<V>): void;
  /** Whether there was something to delete. */
  delete(key: K): boolean;
  clear(): void;
}

export interface SortedMapView<K extends SortedKey, V> extends Collection {
  readonly kind: "sortedMap";
  readonly size: number;
  get(key: K): Immutable<V> | undefined;
  has(key: K): boolean;
  first(): readonly [K, Immutable<V>] | undefined;
  last(): readonly [K, Immutable<V>] | undefined;
  /** In ascending order of keys. Goes over the content at its start, whatever is written meanwhile. */
  entries(): IterableIterator<readonly [K, Immutable<V>]>;
  keys(): IterableIterator<K>;
  values(): IterableIterator<Immutable<V>>;
  [Symbol.iterator](): IterableIterator<readonly [K, Immutable<V>]>;
  range(range: KeyRange<K>): IterableIterator<readonly [K, Immutable<V>]>;
}

/** Entries with `from` ≤ key < `to`, or with key ≤ `through`; descending if `reverse`. `limit` counts entries. */
export interface KeyRange<K> {
  readonly from?: K | undefined;
  readonly to?: K | undefined;
  readonly through?: K | undefined;
  readonly reverse?: boolean | undefined;
  readonly limit?: number | undefined;
}

/** O(log n). */
export interface StateSortedMap<K extends SortedKey, V> extends SortedMapView<K, V> {
  set(key: K, value: Immutable<V>): void;
  delete(key: K): boolean;
  clear(): void;
}

export interface SetView<K extends Key> extends Collection {
  readonly kind: "set";
  readonly size: number;
  has(key: K): boolean;
  /** In canonical order, which looks random. Goes over the content at its start, whatever is written meanwhile. */
  values(): IterableIterator<K>;
  [Symbol.iterator](): IterableIterator<K>;
}

export interface StateSet<K extends Key> extends SetView<K> {
  /** Whether it is new. */
  add(key: K): boolean;
  delete(key: K): boolean;
  clear(): void;
}

export interface ListView<V> extends Collection {
  readonly kind: "list";
  readonly length: number;
  /** Counts from the end if negative, as arrays do. */
  at(index: number): Immutable<V> | undefined;
  /** From first to last. Goes over the content at its start, whatever is written meanwhile. */
  values(): IterableIterator<Immutable<V>>;
  [Symbol.iterator](): IterableIterator<Immutable<V>>;
}

/** Grows and shrinks at its end, in O(log n). For a queue use a sorted map with a growing number as its key. */
export interface StateList<V> extends ListView<V> {
  push(value: Immutable<V>): void;
  pop(): Immutable<V> | undefined;
  /** Refused outside of 0 ≤ index < length. */
  set(index: number, value: Immutable<V>): void;
  clear(): void;
}

export interface CellView<V> extends Collection {
  readonly kind: "cell";
  get(): Immutable<V>;
}

/** One value. */
export interface StateCell<V> extends CellView<V> {
  set(value: Immutable<V>): void;
}

/** Given to `state`, to declare collections with. */
export interface Collections {
  map<K extends Key, V>(): StateMap<K, V>;
  sortedMap<K extends SortedKey, V>(): StateSortedMap<K, V>;
  set<K extends Key>(): StateSet<K>;
  list<V>(): StateList<V>;
  /** Its content until it is set the first time. */
  cell<V>(initial: V): StateCell<V>;
}

/** The whole state: collections by name. A name keeps its meaning for ever, since snapshots hold it. */
export type StateShape = { readonly [name: string]: Collection };

/** The state as queries see it. */
export type ViewOf<State> = {
  readonly [Name in keyof State]: State[Name] extends StateMap<infer K, infer V>
    ? MapView<K, V>
    : State[Name] extends StateSortedMap<infer K, infer V>
      ? SortedMapView<K, V>
      : State[Name] extends StateSet<infer K>
        ? SetView<K>
        : State[Name] extends StateList<infer V>
          ? ListView<V>
          : State[Name] extends StateCell<infer V>
            ? CellView<V>
            : never;
};
