/**
 * What holds between any two steps of one replica. Rules that need every replica are checked by the tests' cluster.
 *
 * Owns: rules R1 to R4, R6, R7, R11, R12, R14 and R18; the others stand where the change happens (`turn.ts`, `roles.ts`, `follower.ts`) and
 * are listed with these in `docs/internals/invariants.md`. Called by `step` at its end; costs O(voters).
 */
import { invariant } from "../../base/invariant.js";
import { newestConfiguration } from "./configuration.js";
import type { RaftState } from "./state.js";

export function checkRaftInvariants(state: RaftState): void {
  const { role, log, writes, commitIndex, term, view } = state;
  invariant(commitIndex <= log.lastIndex, "R1 nothing is committed that is not in the log");
  invariant(writes.durableIndex <= log.lastIndex, "R2 nothing is durable that is not in the log");
  const lastTerm = log.termAt(log.lastIndex);
  invariant(lastTerm <= term, "R3 no entry is of a term that has not begun");
  invariant(
    writes.pending.length === 0 || (writes.pending.at(-1)?.id ?? 0) === writes.nextId - 1,
    "R11 writes are pending in order",
  );
  const newest = newestConfiguration(state);
  const isInLog = newest.index <= state.checkpoint.index || log.has(newest);
  invariant(isInLog, "R18 who counts is said by the log as it is");
  invariant(view.term === term, "R12 the service side knows the term");
  if (role.kind === "candidate" || role.kind === "leader") {
    invariant(state.votedFor === state.self, "R6 a candidate has voted for itself");
    invariant(state.trust === "whole", "R14 only a replica with a whole log stands");
  }
  if (role.kind !== "leader") return;
  invariant(lastTerm === term, "R4 a leader's log ends with an entry of its own term");
  for (const { progress } of role.followers.values()) {
    invariant(progress.match <= log.lastIndex, "R7 no follower matches beyond the log of its leader");
    invariant(progress.match < progress.next, "R7 a follower matches only what comes before its next entry");
    invariant(progress.next <= log.lastIndex + 1, "R7 nothing is sent beyond the log");
  }
}
