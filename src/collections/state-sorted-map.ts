/**
 * `sortedMap`: values by key, in ascending order of keys.
 *
 * Owns: the interface over a table and the order of its keys beside it. Values and digests are the table's.
 */
import { invariant } from "../base/invariant.js";
import type { Steps } from "../base/steps.js";
import type { Immutable, KeyRange, SortedKey, StateSortedMap } from "../api/state.js";
import type { HashTrie, TrieEntry } from "./hash-trie.js";
import { admitKey, compareKeys } from "./key.js";
import { KeyOrder, keysDownward, keysUpward, type OrderNode, type UpperBound } from "./key-order.js";
import { pairOf } from "./state-map.js";
import { keysPerStep, type KeyFollower, type Table } from "./table.js";

/** Keeps the order in step with the keys of the table. */
export class OrderFollower implements KeyFollower {
  readonly order = new KeyOrder();

  inserted(key: SortedKey): void {
    this.order.insert(key);
  }

  removed(key: SortedKey): void {
    this.order.remove(key);
  }

  cleared(): void {
    this.order.clear();
  }

  *prepare(entries: Iterable<TrieEntry>): Steps<() => void> {
    const order = new KeyOrder();
    let count = 0;
    for (const { key } of entries) {
      order.insert(key);
      count += 1;
      if (count % keysPerStep === 0) yield;
    }
    const root = order.snapshot();
    return () => this.order.restore(root);
  }

  mark(): () => void {
    const root = this.order.snapshot();
    return () => this.order.restore(root);
  }

  scrubbing(isRight: (key: SortedKey) => boolean): Steps<boolean> {
    return this.order.scrubbing(isRight);
  }
}

export class TableSortedMap<K extends SortedKey, V> implements StateSortedMap<K, V> {
  readonly kind = "sortedMap";
  readonly #table: Table;
  readonly #order: KeyOrder;

  constructor(table: Table, order: KeyOrder) {
    this.#table = table;
    this.#order = order;
  }

  get size(): number {
    return this.#table.size;
  }

  get(key: K): Immutable<V> | undefined {
    return this.#table.get(admitKey(key, this.#table.name)) as Immutable<V> | undefined;
  }

  has(key: K): boolean {
    return this.#table.has(admitKey(key, this.#table.name));
  }

  set(key: K, value: Immutable<V>): void {
    this.#table.set(admitKey(key, this.#table.name), value);
  }

  delete(key: K): boolean {
    return this.#table.delete(admitKey(key, this.#table.name)) !== undefined;
  }

  clear(): void {
    this.#table.clear();
  }

  first(): readonly [K, Immutable<V>] | undefined {
    return this.#pairAt(this.#order.first());
  }

  last(): readonly [K, Immutable<V>] | undefined {
    return this.#pairAt(this.#order.last());
  }

  range(range: KeyRange<K>): IterableIterator<readonly [K, Immutable<V>]> {
    return this.#table.counted(walk<K, V>(this.#frozen(), admitRange(range, this.#table.name)));
  }

  entries(): IterableIterator<readonly [K, Immutable<V>]> {
    return this.range({});
  }

  keys(): IterableIterator<K> {
    return keysIn(this.range({}));
  }

  values(): IterableIterator<Immutable<V>> {
    return valuesIn(this.range({}));
  }

  [Symbol.iterator](): IterableIterator<readonly [K, Immutable<V>]> {
    return this.entries();
  }

  #pairAt(key: SortedKey | undefined): readonly [K, Immutable<V>] | undefined {
    this.#table.scope.noteRead();
    return key === undefined ? undefined : pairOf<K, V>(entryAt(this.#table.trie, key));
  }

  #frozen(): Frozen {
    return { trie: this.#table.copyOfTrie(), root: this.#order.snapshot() };
  }
}

function* keysIn<K>(pairs: Iterable<readonly [K, unknown]>): IterableIterator<K> {
  for (const [key] of pairs) yield key;
}

function* valuesIn<Value>(pairs: Iterable<readonly [unknown, Value]>): IterableIterator<Value> {
  for (const [, value] of pairs) yield value;
}

/** The content at the start of a walk. */
interface Frozen {
  readonly trie: HashTrie;
  readonly root: OrderNode;
}

interface AdmittedRange {
  readonly from: SortedKey | undefined;
  readonly upper: UpperBound;
  readonly reverse: boolean;
  readonly limit: number;
}

function admitRange(range: KeyRange<SortedKey>, name: string): AdmittedRange {
  const { from, to, through, reverse, limit } = range;
  if (to !== undefined && through !== undefined) {
    throw new RangeError(`Cannot walk ${name}: give "to" or "through", not both`);
  }
  return {
    from: from === undefined ? undefined : admitKey(from, name),
    upper:
      to !== undefined
        ? { kind: "below", key: admitKey(to, name) }
        : through !== undefined
          ? { kind: "through", key: admitKey(through, name) }
          : undefined,
    reverse: reverse === true,
    limit: limit ?? Infinity,
  };
}

function* walk<K, V>({ trie, root }: Frozen, range: AdmittedRange): IterableIterator<readonly [K, Immutable<V>]> {
  const { from, upper, reverse, limit } = range;
  let count = 0;
  for (const key of reverse ? keysDownward(root, upper) : keysUpward(root, from)) {
    const isOutside = reverse ? from !== undefined && compareKeys(key, from) < 0 : isAbove(key, upper);
    if (isOutside || count >= limit) return;
    count += 1;
    yield pairOf<K, V>(entryAt(trie, key));
  }
}

function isAbove(key: SortedKey, upper: UpperBound): boolean {
  if (upper === undefined) return false;
  const order = compareKeys(key, upper.key);
  return upper.kind === "below" ? order >= 0 : order > 0;
}

function entryAt(trie: HashTrie, key: SortedKey): TrieEntry {
  const entry = trie.get(key);
  invariant(entry !== undefined, "M5 order and table of a sorted map have the same keys");
  return entry;
}
