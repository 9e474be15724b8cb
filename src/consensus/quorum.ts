/**
 * Counting voters: every decision of a core is one of these two questions.
 *
 * Owns: what "a majority" means over a set of voters. Leaves to others: whose answers count (only the core knows what is
 * durable). Pure arithmetic; called on every acknowledgement, so it allocates nothing.
 */
import { invariant } from "../base/invariant.js";
import { noIndex, type LogIndex } from "../model/ids.js";
import { quorumOf } from "../model/membership.js";

/** The largest index that a majority of the voters have reached. Sorts `reached`, one index for each voter, in place. */
export function reachedByMajority(reached: LogIndex[]): LogIndex {
  invariant(reached.length > 0, "a majority is counted among at least one voter");
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

/** Those in `yes` who are voters form a majority of the voters. */
export function isMajority(yes: ReadonlySet<string>, voters: readonly string[]): boolean {
  let count = 0;
  for (const voter of voters) if (yes.has(voter)) count += 1;
  return count >= quorumOf(voters.length);
}
