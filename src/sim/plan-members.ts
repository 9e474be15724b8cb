/**
 * Which changes of members are wanted in a run where replicas may lie, and when: drawn from the seed, from a stream of its own.
 *
 * Owns: how often and how many. Leaves to others: making them (`administrator.ts`). Called by `plan.ts`.
 */
import type { FaultModel } from "../api/config.js";
import { randomStream } from "../base/random.js";
import { Draw } from "./draw.js";
import { changesMembers, type FaultKind, type PlannedFault } from "./faults.js";

export interface ChangeOptions {
  readonly seed: number;
  readonly model: FaultModel;
  readonly faults: readonly FaultKind[];
}

/** In a quarter of the runs with all faults. */
export function drawChanges({ seed, model, faults }: ChangeOptions, healAtMs: number): readonly PlannedFault[] {
  const kinds = faults.filter(changesMembers);
  const draw = new Draw(randomStream(seed, "changes of members"));
  const chance = Math.min(1, Math.max(0.25, 3 / faults.length));
  if (model !== "byzantine" || kinds.length === 0 || !draw.chance(chance)) return [];
  return Array.from({ length: draw.between(1, 8) }, () => ({
    number: 0,
    kind: draw.pick(kinds),
    at: draw.fraction() * healAtMs,
    lastsMs: draw.spread(5, 5_000),
    draws: [draw.fraction(), draw.fraction(), draw.fraction(), draw.fraction()],
  }));
}
