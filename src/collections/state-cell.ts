/**
 * `cell`: one value.
 *
 * Owns: the interface over a table with the one key 0. It is absent while the value is `undefined`, which is only possible where
 * the cell was declared with `undefined`.
 */
import type { Immutable, StateCell } from "../api/state.js";
import type { Table } from "./table.js";

export const cellKey = 0;

export class TableCell<V> implements StateCell<V> {
  readonly kind = "cell";
  readonly #table: Table;
  readonly #mayBeAbsent: boolean;

  constructor(table: Table, mayBeAbsent: boolean) {
    this.#table = table;
    this.#mayBeAbsent = mayBeAbsent;
  }

  get(): Immutable<V> {
    return this.#table.get(cellKey) as Immutable<V>;
  }

  set(value: Immutable<V>): void {
    if (value === undefined && this.#mayBeAbsent) this.#table.delete(cellKey);
    else this.#table.set(cellKey, value);
  }
}
