/**
 * What a replica may forget of what it wrote: everything that a shorter list says as well.
 *
 * Owns: that list, from which `createBftState` makes a state that has promised the same and can prove the same. Leaves to others: when
 * and how the list takes the place of the longer one, at once and durably. Called by whoever keeps the records.
 */
import { nullDigest, type Digest } from "./messages.js";
import type { BftRecord, BftState } from "./state.js";

/**
 * Promises of views that were left bind nobody, and what was proposed in them without being prepared proves nothing: neither is kept.
 * What is below the stable checkpoint is proved by it. How each epoch began is kept for those who were away.
 */
export function recordsOf(state: BftState): readonly BftRecord[] {
  const { stable, base, newView, ownViewChange, ownNewView, isChanging, view } = state;
  const records: BftRecord[] = state.handovers.map((handover) => ({ kind: "epoch", ...handover }));
  const batches = new Set<Digest>();
  const slots = [...state.slots.values()].filter(({ index }) => index > stable.index);
  if (stable.index > base.index) records.push({ kind: "stable", certificate: stable });
  if (newView !== undefined) records.push({ kind: "entered", newView });
  else if (isChanging && ownViewChange !== undefined) records.push({ kind: "viewChange", statement: ownViewChange });
  if (ownNewView !== undefined) records.push({ kind: "newView", statement: ownNewView });
  for (const { index, accepted, prepared } of slots) {
    const batch = accepted?.view === view && !isChanging ? state.batches.get(accepted.digest) : undefined;
    if (batch !== undefined) {
      records.push({ kind: "accepted", view, index, batch });
      batches.add(batch.digest);
    }
    if (prepared !== undefined) records.push({ kind: "prepared", certificate: prepared });
  }
  for (const { prepared } of slots) {
    const batch = prepared === undefined ? undefined : state.batches.get(prepared.digest);
    if (batch === undefined || batch.digest === nullDigest || batches.has(batch.digest)) continue;
    records.push({ kind: "batch", batch });
    batches.add(batch.digest);
  }
  return records;
}
