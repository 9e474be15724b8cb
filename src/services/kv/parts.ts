/**
 * The parts of lists, hashes, sets and sorted sets: which rows belong to an id.
 *
 * Owns: the ranges, and emptying and copying an id. Called by `commands/` and `sweep.ts`.
 */
import type { KvState, PartsKind, Stored, StringEntry } from "./state.js";

interface Range<K> {
  readonly from: K;
  readonly to: K;
}

const lowest = -Number.MAX_VALUE;

/** All rows [id, text]. */
export function textsOf(id: number): Range<readonly [number, string]> {
  return { from: [id, ""], to: [id + 1, ""] };
}

/** All rows [id, number]. */
export function numbersOf(id: number): Range<readonly [number, number]> {
  return { from: [id, lowest], to: [id + 1, lowest] };
}

/** All rows [id, score, member]. */
export function ranksOf(id: number): Range<readonly [number, number, string]> {
  return { from: [id, lowest, ""], to: [id + 1, lowest, ""] };
}

/** Deletes up to `limit` parts, twofold ones counting once; fewer mean that none is left. */
export function sweepParts(state: KvState, id: number, kind: PartsKind, limit: number): number {
  switch (kind) {
    case "list":
      return deleteAll(state.elements, { ...numbersOf(id), limit });
    case "hash":
      return deleteAll(state.fields, { ...textsOf(id), limit });
    case "set":
      deleteAll(state.members, { ...textsOf(id), limit });
      return deleteAll(state.slots, { ...numbersOf(id), limit });
    case "sortedSet":
      deleteAll(state.scores, { ...textsOf(id), limit });
      return deleteAll(state.ranks, { ...ranksOf(id), limit });
  }
}

interface Deletable<K> {
  range(range: Range<K> & { readonly limit: number }): Iterable<readonly [K, unknown]>;
  delete(key: K): boolean;
}

function deleteAll<K>(collection: Deletable<K>, range: Range<K> & { readonly limit: number }): number {
  const keys = [...collection.range(range)].map(([key]) => key);
  for (const key of keys) collection.delete(key);
  return keys.length;
}

/** Gives `id` the parts of another entry. */
export function copyParts(state: KvState, from: Exclude<Stored, StringEntry>, id: number): void {
  switch (from.kind) {
    case "list":
      for (const [[, place], value] of state.elements.range(numbersOf(from.id))) state.elements.set([id, place], value);
      break;
    case "hash":
      for (const [[, field], value] of state.fields.range(textsOf(from.id))) state.fields.set([id, field], value);
      break;
    case "set":
      for (const [[, member], slot] of state.members.range(textsOf(from.id))) {
        state.members.set([id, member], slot);
        state.slots.set([id, slot], member);
      }
      break;
    case "sortedSet":
      for (const [[, member], score] of state.scores.range(textsOf(from.id))) {
        state.scores.set([id, member], score);
        state.ranks.set([id, score, member], true);
      }
      break;
  }
}
