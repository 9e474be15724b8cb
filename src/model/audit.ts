/**
 * Audits: replicas that executed the same entries have the same fingerprints at the same positions.
 *
 * Owns: the nouns. Leaves to others: making fingerprints and verdicts (`execution/`), reporting (`replica/auditor.ts`).
 */
import type { Fingerprint } from "../base/fingerprint.js";
import type { EntryKind } from "./entry.js";
import type { AgreedTime, LogIndex, ReplicaId } from "./ids.js";
import { membersOf, voterSetsOf, type Membership } from "./membership.js";
import type { Reply } from "./request.js";

/** What one replica has at one position: the same on every correct one. */
export interface AuditDigest {
  /** Of every reply since the cluster began, in order. */
  readonly output: Fingerprint;
  /** Of everything replicated: the machine's state with its timers and events, sessions, keys, members. */
  readonly state: Fingerprint;
}

/** What a replica remembers of an entry that it has executed. */
export interface TrailEntry {
  readonly index: LogIndex;
  readonly time: AgreedTime;
  readonly kind: EntryKind;
  /** Behind the entry: of every reply so far, and of the machine's state. */
  readonly output: Fingerprint;
  readonly state: Fingerprint;
  /** The entry itself and what its requests were answered, while there is room for them. */
  readonly content: TrailContent | undefined;
}

export interface TrailContent {
  readonly payload: Uint8Array;
  /** `repeated`: answered from what was stored, nothing ran for it. */
  readonly answers: readonly { readonly reply: Reply; readonly repeated: boolean }[];
}

/** Who executes, as a replica has executed it: a part of its report, so that all count alike. */
export interface AuditMembers {
  /** One, or two while members change: a majority of each is needed to name anybody. */
  readonly voterSets: readonly (readonly ReplicaId[])[];
  /** Voters and learners. */
  readonly executing: readonly ReplicaId[];
}

/** One replica's digests of some positions. An ordered entry of kind `report` holds it. */
export interface AuditReport {
  readonly replica: ReplicaId;
  readonly incarnation: number;
  readonly members: AuditMembers;
  readonly positions: readonly (AuditDigest & { readonly index: LogIndex })[];
}

/**
 * `agreed`: enough voters have the same, and nobody else has something else. `named`: enough voters have the same, and these do not.
 * `different`: nobody can say who is right. `allDifferent`: every voter has reported, and no two agree: the machine is not deterministic.
 * `notChecked`: too few have reported to tell. `alone`: there is nobody to compare with.
 */
export type VerdictKind = "agreed" | "named" | "different" | "allDifferent" | "notChecked" | "alone";

export const verdictKinds = [
  "agreed",
  "named",
  "different",
  "allDifferent",
  "notChecked",
  "alone",
] as const satisfies readonly VerdictKind[];

/** Those of them by which something differs. */
export type DivergenceKind = Extract<VerdictKind, "named" | "different" | "allDifferent">;

export function isDivergence(kind: VerdictKind): kind is DivergenceKind {
  return kind === "named" || kind === "different" || kind === "allDifferent";
}

export interface Verdict {
  readonly kind: VerdictKind;
  /** Who has reported what enough voters have; sorted, as all of these. */
  readonly agreeing: readonly ReplicaId[];
  /** Who has reported anything else. */
  readonly differing: readonly ReplicaId[];
  /** Who has not reported in time: not checked. */
  readonly missing: readonly ReplicaId[];
}

/** What became of one position. */
export interface AuditedPosition extends Verdict {
  readonly index: LogIndex;
  /** Agreed time of the position. */
  readonly time: AgreedTime;
}

/** A replica that enough voters agreed against, until it agrees again or another disk takes its place. */
export interface NamedReplica {
  readonly replica: ReplicaId;
  readonly incarnation: number;
  /** The first and the last position at which it differed. */
  readonly from: LogIndex;
  readonly to: LogIndex;
}

/** When a replica was last compared and agreed, and since when it was not checked, if so. */
export interface AuditedReplica {
  readonly replica: ReplicaId;
  /** 0: never. */
  readonly agreedAt: LogIndex;
  readonly uncheckedFrom: LogIndex;
  readonly uncheckedSince: AgreedTime;
  /** Positions since, one after the other, at which it was not checked. */
  readonly unchecked: number;
}

export function auditMembersOf(membership: Membership): AuditMembers {
  return { voterSets: voterSetsOf(membership), executing: membersOf(membership).map(({ id }) => id) };
}
