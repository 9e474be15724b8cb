/**
 * Replicas that are alive and cannot do a leader's work: their disk hangs, their execution stands still, or they were not run.
 *
 * Owns: what counts as such. Leaves to others: noticing that execution stands still (`replica/health.ts`), giving leadership up
 * (`transfer.ts`), not standing, and standing after all if nobody else does (`roles.ts`). Such a leader would go on sending heartbeats, and
 * nobody would take its place.
 */
import type { ResignReason } from "../../model/resignation.js";
import { isDiskStalled, type RaftState } from "./state.js";

/** Why this replica should not lead now, if so. */
export function stallOf(state: RaftState, now: number, isExecutionStalled: boolean): ResignReason | undefined {
  if (state.isQuarantined) return "quarantine";
  if (isDiskStalled(state, now)) return "write";
  if (isExecutionStalled) return "execution";
  return now < state.restUntil ? "turn" : undefined;
}
