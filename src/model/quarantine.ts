/**
 * Quarantine: a replica that was named by audits is set aside until its state is that of the others again.
 *
 * Owns: the nouns, and how many can be spared. Leaves to others: naming (`execution/audit-verdict.ts`), when and what then
 * (`replica/quarantine.ts`).
 */
import type { NamedReplica } from "./audit.js";
import type { LogIndex, ReplicaId } from "./ids.js";
import { voterSetsOf, type Membership } from "./membership.js";
import { crashRules, type ReportRules } from "./report-rules.js";

/**
 * `sound`: in service. `rebuilding`: its state was thrown away, and is made again from a certified checkpoint and the log. `rejoining`:
 * made again; it serves once the others have found it to agree. `stopped`: it differed again too often after it was rebuilt. `unspared`:
 * it differs and serves on, because so many do that too few would be left.
 */
export type QuarantineState = "sound" | "rebuilding" | "rejoining" | "stopped" | "unspared";

/** What a replica tells one that was named, as it has executed it: the accused may have executed something else. */
export interface Accusation {
  /** Of the accused. */
  readonly incarnation: number;
  /** The last position at which it differed. */
  readonly to: LogIndex;
  /** The accuser has executed so far. */
  readonly at: LogIndex;
  /** The group can do without it. */
  readonly isSpared: boolean;
}

/**
 * Of those who are named as many may be set aside as leave a quorum, in the order in which they first differed. A learner is always
 * spared: nothing is decided by it.
 */
export function isSpared(
  named: readonly NamedReplica[],
  membership: Membership,
  replica: ReplicaId,
  { quorum }: ReportRules = crashRules,
): boolean {
  const sorted = named.toSorted((left, right) => left.from - right.from || (left.replica < right.replica ? -1 : 1));
  return voterSetsOf(membership).every((voters) => {
    if (!voters.includes(replica)) return true;
    const place = sorted.filter((each) => voters.includes(each.replica)).findIndex((each) => each.replica === replica);
    return place < voters.length - quorum(voters.length);
  });
}
