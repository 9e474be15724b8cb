/**
 * What the reports of one entry say, as far as it counts.
 *
 * Owns: what is taken from whoever reports. Under crash faults all of it. Under Byzantine faults each report was signed by the replica that it
 * names, which must be a member, and of the disk that is known; who the members are is not its to say. Leaves to others: what follows. Called by the executor, and by whoever
 * looks at entries that are not executed yet.
 */
import { auditMembersOf } from "../model/audit.js";
import { noIndex, type LogIndex } from "../model/ids.js";
import { anyIncarnation, memberOf, type Configuration } from "../model/membership.js";
import type { ReportRules } from "../model/report-rules.js";
import { decodeAnyReport, type AnyReport } from "../wire/report-codec.js";
import { decodePlainReports } from "../wire/signed-report.js";

export type Reported = AnyReport & {
  /** How far its replica had executed; 0 where nobody says so. */
  readonly executed: LogIndex;
};

/** Undefined if the payload is not in a form that is known. */
export function reportsIn(
  payload: Uint8Array,
  rules: ReportRules,
  configuration: Configuration,
): readonly Reported[] | undefined {
  if (rules.believesPeers) {
    const decoded = decodeAnyReport(payload);
    return decoded && [{ ...decoded, executed: noIndex }];
  }
  return decodePlainReports(payload)?.flatMap(({ executed, report }) => {
    const decoded = decodeAnyReport(report);
    const counted = decoded && asSaidBySigner(decoded, configuration);
    return counted === undefined ? [] : [{ ...counted, executed }];
  });
}

function asSaidBySigner(said: AnyReport, { membership }: Configuration): AnyReport | undefined {
  const { replica, incarnation } = said.report;
  const member = memberOf(membership, replica);
  const isOfKnownDisk = member?.incarnation === incarnation || member?.incarnation === anyIncarnation;
  if (member === undefined || !isOfKnownDisk) return undefined;
  switch (said.kind) {
    case "audit":
      return { kind: "audit", report: { ...said.report, members: auditMembersOf(membership) } };
    case "skip":
      return { kind: "skip", report: { ...said.report, members: auditMembersOf(membership) } };
    case "offer":
      return said;
    case "checkpoint":
      return undefined;
  }
}
