/**
 * What time asks of the key-value machine: removing keys that have expired, and the parts of keys that are gone.
 *
 * Owns: how much of it one entry does. Called by the machine at the start of every entry, on every replica with the same time.
 */
import type { ViewOf } from "../../index.js";
import { removeStored } from "./keyspace.js";
import { kvLimits } from "./limits.js";
import { sweepParts } from "./parts.js";
import type { KvState, Writing } from "./state.js";

/** When the first key expires; at once while parts wait. */
export function sweepDueAt(state: ViewOf<KvState>): number | undefined {
  if (state.graves.size > 0) return 0;
  return state.expiries.first()?.[0][0];
}

export function sweep(writing: Writing): void {
  sweepExpired(writing);
  sweepGraves(writing);
}

function sweepExpired(writing: Writing): void {
  const { entries, expiries } = writing.state;
  if (expiries.size === 0) return;
  const limit = kvLimits.expirationsPerEntryMax;
  // Times are whole milliseconds: these are the rows up to and including now.
  const due = [...expiries.range({ to: [writing.now + 1, ""], limit })];
  for (const [[, key]] of due) {
    const stored = entries.get(key);
    if (stored !== undefined) removeStored(writing, key, stored);
  }
}

function sweepGraves(writing: Writing): void {
  let left: number = kvLimits.sweptPartsPerEntryMax;
  while (left > 0) {
    const grave = writing.state.graves.first();
    if (grave === undefined) return;
    const [id, kind] = grave;
    const swept = sweepParts(writing.state, id, kind, left);
    if (swept < left) writing.state.graves.delete(id);
    left -= Math.max(1, swept);
  }
}
