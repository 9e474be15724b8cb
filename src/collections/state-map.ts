/**
 * `map`: values by key, in canonical order.
 *
 * Owns: the interface over a table, and scanning it by position.
 */
import type { Immutable, Key, ScanPage, StateMap } from "../api/state.js";
import { leavesFrom, type TrieEntry } from "./hash-trie.js";
import { admitScalar, positionCount } from "./key.js";
import { readOut, type Table } from "./table.js";

export class TableMap<K extends Key, V> implements StateMap<K, V> {
  readonly kind = "map";
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  get size(): number {
    return this.#table.size;
  }

  get(key: K): Immutable<V> | undefined {
    return this.#table.get(admitScalar(key, this.#table.name)) as Immutable<V> | undefined;
  }

  has(key: K): boolean {
    return this.#table.has(admitScalar(key, this.#table.name));
  }

  set(key: K, value: Immutable<V>): void {
    this.#table.set(admitScalar(key, this.#table.name), value);
  }

  delete(key: K): boolean {
    return this.#table.delete(admitScalar(key, this.#table.name)) !== undefined;
  }

  clear(): void {
    this.#table.clear();
  }

  entries(): IterableIterator<readonly [K, Immutable<V>]> {
    return pairs<K, V>(this.#table.entries());
  }

  keys(): IterableIterator<K> {
    return keys<K>(this.#table.entries());
  }

  values(): IterableIterator<Immutable<V>> {
    return values<V>(this.#table.entries());
  }

  [Symbol.iterator](): IterableIterator<readonly [K, Immutable<V>]> {
    return this.entries();
  }

  scan(position: number, count: number): ScanPage<K, V> {
    const from = Number.isSafeInteger(position) && position > 0 ? position : 0;
    this.#table.scope.noteRead();
    const entries: (readonly [K, Immutable<V>])[] = [];
    if (from >= positionCount) return { entries, next: undefined };
    // A page ends between two positions, so that no bucket is cut and none of its entries is returned twice.
    for (const leaf of leavesFrom(this.#table.trie.view().root, from)) {
      if (entries.length >= Math.max(1, count)) return { entries, next: leaf.position };
      for (const entry of leaf.kind === "entry" ? [leaf] : leaf.entries) {
        this.#table.scope.noteRead();
        entries.push(pairOf<K, V>(entry));
      }
    }
    return { entries, next: undefined };
  }
}

export function pairOf<K, V>(entry: TrieEntry): readonly [K, Immutable<V>] {
  return [entry.key as K, readOut(entry) as Immutable<V>];
}

function* pairs<K, V>(entries: Iterable<TrieEntry>): IterableIterator<readonly [K, Immutable<V>]> {
  for (const entry of entries) yield pairOf<K, V>(entry);
}

export function* keys<K>(entries: Iterable<TrieEntry>): IterableIterator<K> {
  for (const entry of entries) yield entry.key as K;
}

function* values<V>(entries: Iterable<TrieEntry>): IterableIterator<Immutable<V>> {
  for (const entry of entries) yield readOut(entry) as Immutable<V>;
}
