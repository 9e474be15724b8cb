/**
 * `set`: keys alone, in canonical order.
 *
 * Owns: the interface over a table whose values are all `true`.
 */
import type { Key, StateSet } from "../api/state.js";
import { admitScalar } from "./key.js";
import { keys } from "./state-map.js";
import type { Table } from "./table.js";

export class TableSet<K extends Key> implements StateSet<K> {
  readonly kind = "set";
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  get size(): number {
    return this.#table.size;
  }

  has(key: K): boolean {
    return this.#table.has(admitScalar(key, this.#table.name));
  }

  add(key: K): boolean {
    const admitted = admitScalar(key, this.#table.name);
    if (this.#table.has(admitted)) return false;
    this.#table.set(admitted, true);
    return true;
  }

  delete(key: K): boolean {
    return this.#table.delete(admitScalar(key, this.#table.name)) !== undefined;
  }

  clear(): void {
    this.#table.clear();
  }

  values(): IterableIterator<K> {
    return keys<K>(this.#table.entries());
  }

  [Symbol.iterator](): IterableIterator<K> {
    return this.values();
  }
}
