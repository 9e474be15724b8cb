/**
 * Leaders that cannot do their work do not lead for long (rule V24).
 *
 * Owns: what the bound is made of. By the replica's own clock and ticks: a process that is not run can resign nothing. Called by the world
 * now and then.
 */
import type { RaftState } from "../../consensus/raft/state.js";
import { must } from "./violation.js";

export function checkStalls(id: string, state: RaftState): void {
  const { role, writes, settings, lastTick, voters } = state;
  const oldest = writes.pending[0];
  if (role.kind !== "leader" || oldest === undefined || voters.length === 1) return;
  const { writeStallMsMax, electionTimeoutMsMax } = settings;
  // An operator's transfer may be under way, then comes its own; the rest is for ticks that come late.
  const limit = writeStallMsMax + 4 * electionTimeoutMsMax;
  const since = lastTick - oldest.askedAt;
  must(
    since <= limit,
    "V24",
    () => `${id} leads with a write under way for ${Math.round(since)} ms, and the limit is ${limit}`,
  );
}
