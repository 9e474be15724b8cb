/**
 * Who takes part: the members of a cluster, their roles and incarnations.
 *
 * Owns: the nouns and the size of a quorum. Leaves to others: changing the set (a later release, by `configuration` entries).
 */
import type { ReplicaId } from "./ids.js";

/** A voter counts towards quorums; a learner receives the log and executes it, and is never counted. */
export type MemberRole = "voter" | "learner";

export interface Member {
  readonly id: ReplicaId;
  readonly role: MemberRole;
  /** Grows when a replica rejoins with an empty disk: what an earlier incarnation promised is forgotten with it. */
  readonly incarnation: number;
  /** `host:port` where other replicas reach it. */
  readonly peer: string;
  /** `host:port` where clients reach it. */
  readonly client: string;
}

export interface Membership {
  readonly members: readonly Member[];
}

export function votersOf(membership: Membership): readonly ReplicaId[] {
  return membership.members.filter((member) => member.role === "voter").map((member) => member.id);
}

/** The least number of voters of which any two sets meet in one: floor(n / 2) + 1. */
export function quorumOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}
