/**
 * `list`: values by index from 0 without a gap.
 *
 * Owns: the interface over a table whose keys are the indexes, so the length is the table's size.
 */
import { invariant } from "../base/invariant.js";
import type { Immutable, StateList } from "../api/state.js";
import type { HashTrie } from "./hash-trie.js";
import { readOut, type Table } from "./table.js";

export class TableList<V> implements StateList<V> {
  readonly kind = "list";
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  get length(): number {
    return this.#table.size;
  }

  at(index: number): Immutable<V> | undefined {
    const at = index < 0 ? this.#table.trie.size + index : index;
    return Number.isSafeInteger(at) ? (this.#table.get(at) as Immutable<V> | undefined) : undefined;
  }

  push(value: Immutable<V>): void {
    this.#table.set(this.#table.trie.size, value);
  }

  pop(): Immutable<V> | undefined {
    const entry = this.#table.delete(this.#table.trie.size - 1);
    return entry === undefined ? undefined : (readOut(entry) as Immutable<V>);
  }

  set(index: number, value: Immutable<V>): void {
    const { size } = this.#table.trie;
    if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
      throw new RangeError(`Cannot set ${this.#table.name}[${index}]: the list has ${size} values`);
    }
    this.#table.set(index, value);
  }

  clear(): void {
    this.#table.clear();
  }

  values(): IterableIterator<Immutable<V>> {
    return this.#table.counted(valuesOf<V>(this.#table.copyOfTrie()));
  }

  [Symbol.iterator](): IterableIterator<Immutable<V>> {
    return this.values();
  }
}

function* valuesOf<V>(trie: HashTrie): IterableIterator<Immutable<V>> {
  for (let at = 0; at < trie.size; at += 1) {
    const entry = trie.get(at);
    invariant(entry !== undefined, "M6 a list has a value at every index below its length");
    yield readOut(entry) as Immutable<V>;
  }
}
