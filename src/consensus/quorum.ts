/**
 * Counting voters: every decision of a core is one of these two questions.
 *
 * Owns: what "a majority" means over a set of voters, and that while members change both sets must agree (joint consensus, Raft
 * section 6). Leaves to others: whose answers count (only the core knows what is durable). Pure arithmetic.
 */
import { invariant } from "../base/invariant.js";
import { minIndex, noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { quorumOf } from "../model/membership.js";

/** Sets of voters; a decision needs a majority of each. */
export type VoterSets = readonly (readonly ReplicaId[])[];

/** The largest index that a majority of each set has reached. */
export function reachedByMajorities(sets: VoterSets, reachedBy: (voter: ReplicaId) => LogIndex): LogIndex {
  invariant(sets.length > 0, "there is a set of voters");
  let reached: LogIndex | undefined;
  for (const voters of sets) {
    const index = reachedByMajority(voters.map(reachedBy));
    reached = reached === undefined ? index : minIndex(reached, index);
  }
  return reached ?? noIndex;
}

/** The largest index that a majority of the voters have reached. Sorts `reached`, one index for each voter, in place. */
export function reachedByMajority(reached: LogIndex[]): LogIndex {
  for (let at = 1; at < reached.length; at += 1) {
    const value = reached[at] ?? noIndex;
    let to = at;
    while (to > 0 && (reached[to - 1] ?? noIndex) < value) {
      reached[to] = reached[to - 1] ?? noIndex;
      to -= 1;
    }
    reached[to] = value;
  }
  return reached[quorumOf(reached.length) - 1] ?? noIndex;
}

/** Those who say yes form a majority of each set; nobody forms one of no voters. */
export function isMajority(sets: VoterSets, saysYes: (voter: ReplicaId) => boolean): boolean {
  for (const voters of sets) {
    let count = 0;
    for (const voter of voters) if (saysYes(voter)) count += 1;
    if (count < quorumOf(voters.length)) return false;
  }
  return sets.length > 0;
}
