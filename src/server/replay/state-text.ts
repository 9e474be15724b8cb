/**
 * A state's content, collection by collection, and the names by which a user asks for a part of it.
 *
 * Owns: which keys are meant by a text, and how many are shown: the first of each collection in the order of their keys, so memory does not
 * depend on how many there are.
 */
import type { SortedKey } from "../../api/state.js";
import { compareKeys } from "../../collections/key.js";
import type { NamedEntry } from "../../collections/snapshot-format.js";
import { valueText } from "../../sim/machine-copy.js";
import { toMachineJson, type JsonValue } from "../machine-json.js";

/** A key as a user writes it: `anna`, `accounts["anna"]`, `accounts[anna]`, `7`, or a whole collection by its name. */
export function isMeant(text: string, { name, key }: Pick<NamedEntry, "name" | "key">): boolean {
  const written = valueText(key);
  const forms = [name, written, `${name}[${written}]`];
  if (typeof key === "string") forms.push(key, `${name}[${key}]`);
  return forms.includes(text);
}

export interface ShownCollection {
  readonly name: string;
  readonly count: number;
  /** The first of them by their keys. */
  readonly entries: readonly NamedEntry[];
}

export function shownState(
  contents: Iterable<NamedEntry>,
  isWanted: (entry: NamedEntry) => boolean,
  countMax: number,
): readonly ShownCollection[] {
  const collections = new Map<string, { name: string; count: number; entries: NamedEntry[] }>();
  for (const entry of contents) {
    if (!isWanted(entry)) continue;
    const { name } = entry;
    const collection = collections.get(name) ?? { name, count: 0, entries: [] };
    collections.set(name, collection);
    collection.count += 1;
    insert(collection.entries, entry, countMax);
  }
  return [...collections.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
}

function insert(entries: NamedEntry[], entry: NamedEntry, countMax: number): void {
  const last = entries.at(-1);
  if (entries.length === countMax && last !== undefined && isBefore(last, entry)) return;
  const at = entries.findIndex((other) => isBefore(entry, other));
  entries.splice(at < 0 ? entries.length : at, 0, entry);
  if (entries.length > countMax) entries.pop();
}

function isBefore(left: NamedEntry, right: NamedEntry): boolean {
  return compareKeys(left.key as SortedKey, right.key as SortedKey) < 0;
}

export function stateText(collections: readonly ShownCollection[]): string {
  if (collections.length === 0) return "  nothing";
  return collections
    .flatMap(({ name, count, entries }) => {
      const more = count - entries.length;
      const lines = entries.map(({ key, value }) => `    ${valueText(key)}: ${valueText(value)}`);
      return [`  ${name} (${count})`, ...lines, ...(more === 0 ? [] : [`    and ${more} more`])];
    })
    .join("\n");
}

export function stateJson(index: number, time: number, collections: readonly ShownCollection[]): JsonValue {
  return {
    event: "state",
    index,
    time,
    collections: collections.map(({ name, count, entries }) => ({
      name,
      count,
      entries: entries.map(({ key, value }) => ({ key: toMachineJson(key), value: toMachineJson(value) })),
    })),
  };
}
