/**
 * What the reports of one position say: a pure function, so every replica that executed them says the same.
 *
 * Owns: the rule. A replica is named only if more than half of all voters at that position agree against it, whichever role it has and
 * however many answered: of five voters two reports against one name nobody (hazard N8). More than half, f + 1 of an odd number: of an even
 * one two halves could name each other. While members change it is more than half of both sets. Called by `audit-table.ts`.
 */
import { equalFingerprints } from "../base/fingerprint.js";
import type { AuditDigest, AuditMembers, Verdict } from "../model/audit.js";
import type { ReplicaId } from "../model/ids.js";
import { quorumOf } from "../model/membership.js";

export interface ReportedDigest extends AuditDigest {
  readonly replica: ReplicaId;
  readonly members: AuditMembers;
}

/** `known`: the members by the log itself, if it says so; founders are known by the reports alone. */
export function verdictOf(reports: readonly ReportedDigest[], known: AuditMembers | undefined): Verdict {
  const executing = executingOf(reports, known);
  const groups = groupsOf(reports.filter(({ replica }) => executing.includes(replica)));
  const idsOf = (group: readonly ReportedDigest[]): ReplicaId[] => group.map(({ replica }) => replica).sort();
  const reported = idsOf(groups.flat());
  const missing = executing.filter((id) => !reported.includes(id));
  if (executing.length === 1 && reported.length === 1)
    return { kind: "alone", agreeing: reported, differing: [], missing };
  const sets = voterSetsIn(reports, known);
  const least = quorumOf(Math.max(0, ...sets.map((voters) => voters.length)));
  const enough = groups.find((group) => {
    const ids = idsOf(group);
    const own = voterSetsIn(group, known);
    return ids.length > 1 && own.every((voters) => isMajorityOf(voters, ids)) && ids.length >= least;
  });
  if (enough !== undefined) {
    const agreeing = idsOf(enough);
    const differing = reported.filter((id) => !agreeing.includes(id));
    return { kind: differing.length > 0 ? "named" : "agreed", agreeing, differing, missing };
  }
  if (groups.length < 2) return { kind: "notChecked", agreeing: [], differing: [], missing: executing };
  const voters = executing.filter((id) => sets.some((set) => set.includes(id)));
  const areAllDifferent =
    voters.length > 2 && voters.every((voter) => groups.some((group) => idsOf(group).join() === voter));
  return { kind: areAllDifferent ? "allDifferent" : "different", agreeing: [], differing: reported, missing };
}

/**
 * By the log, or else by what these say: then a group must also be as large as the largest set that anybody speaks of needs, so that none
 * that is wrong about the members can make itself a majority.
 */
function voterSetsIn(
  reports: readonly ReportedDigest[],
  known: AuditMembers | undefined,
): readonly (readonly ReplicaId[])[] {
  return known === undefined ? reports.flatMap(({ members }) => members.voterSets) : known.voterSets;
}

function isMajorityOf(voters: readonly ReplicaId[], ids: readonly ReplicaId[]): boolean {
  return voters.filter((voter) => ids.includes(voter)).length >= quorumOf(voters.length);
}

/** Everybody who executes by the log, or else by what anybody says; sorted. */
export function executingOf(reports: readonly ReportedDigest[], known: AuditMembers | undefined): readonly ReplicaId[] {
  const ids = known === undefined ? reports.flatMap(({ members }) => members.executing) : known.executing;
  return [...new Set(ids)].sort();
}

/** Reports of the same. */
function groupsOf(reports: readonly ReportedDigest[]): readonly (readonly ReportedDigest[])[] {
  const groups: ReportedDigest[][] = [];
  for (const report of reports) {
    const group = groups.find(([first]) => first !== undefined && isSame(first, report));
    if (group === undefined) groups.push([report]);
    else group.push(report);
  }
  return groups;
}

function isSame(left: AuditDigest, right: AuditDigest): boolean {
  return equalFingerprints(left.output, right.output) && equalFingerprints(left.state, right.state);
}
