/**
 * Which changes of members are wanted in a run where replicas may lie, and when: drawn from the seed, from streams of its own.
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

export function drawChanges(options: ChangeOptions, healAtMs: number): readonly PlannedFault[] {
  if (options.model !== "byzantine") return [];
  const kinds = options.faults.filter(changesMembers);
  const isKey = (kind: FaultKind): boolean => kind === "memberKey";
  return [
    ...drawKinds(options, healAtMs, { kinds: kinds.filter((kind) => !isKey(kind)), stream: "changes of members" }),
    ...drawKinds(options, healAtMs, { kinds: kinds.filter(isKey), stream: "exchanges of keys" }),
  ];
}

/** In a quarter of the runs with all faults. */
function drawKinds(
  { seed, faults }: ChangeOptions,
  healAtMs: number,
  { kinds, stream }: { readonly kinds: readonly FaultKind[]; readonly stream: string },
): readonly PlannedFault[] {
  const draw = new Draw(randomStream(seed, stream));
  const chance = Math.min(1, Math.max(0.25, 3 / faults.length));
  if (kinds.length === 0 || !draw.chance(chance)) return [];
  return Array.from({ length: draw.between(1, 8) }, () => ({
    number: 0,
    kind: draw.pick(kinds),
    at: draw.fraction() * healAtMs,
    lastsMs: draw.spread(5, 5_000),
    draws: [draw.fraction(), draw.fraction(), draw.fraction(), draw.fraction()],
  }));
}
