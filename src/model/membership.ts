/**
 * Who takes part: the members of a cluster, their roles and incarnations.
 *
 * Owns: the nouns, the size of a quorum, what a change makes of the members. Leaves to others: when a change is allowed and when it
 * counts (`consensus/raft/membership.ts`), its bytes (`membership-codec.ts`).
 */
import type { EntryId } from "./entry.js";
import type { ReplicaId } from "./ids.js";
import { changesOf, type InstructionRefusal, type MemberChange, type MembershipChange } from "./instruction.js";

/**
 * A voter counts towards quorums; a learner receives the log and executes it, and is never counted. One that is joining is a
 * learner that becomes a voter as soon as it lacks little of the log.
 */
export type MemberRole = "voter" | "learner" | "joining";

/** Of a member that no data directory has spoken for yet. */
export const anyIncarnation = 0;

/** Of every data directory that was made by a bootstrap; a replica that joins draws a larger one. */
export const foundingIncarnation = 1;

export interface Member {
  readonly id: ReplicaId;
  readonly role: MemberRole;
  /**
   * Another one for each data directory: what was promised from an earlier one is forgotten with it. `anyIncarnation` while joining:
   * the one that is promoted is the one that was heard.
   */
  readonly incarnation: number;
  /** The incarnation that this one takes the place of, until it is bound: that one is never heard again. */
  readonly replaces?: number | undefined;
  /** `host:port` where other replicas reach it. */
  readonly peer: string;
  /** `host:port` where clients reach it. */
  readonly client: string;
  /** Its public key, under Byzantine faults: 32 bytes. */
  readonly key?: Uint8Array | undefined;
}

export interface Membership {
  /** While a change is under way: the members after it. */
  readonly members: readonly Member[];
  /** Only while a change is under way: the members before it, a majority of whom must agree as well (joint consensus, Raft section 6). */
  readonly before?: readonly Member[] | undefined;
}

/** A membership with the entry that made it; the founding one has index and term 0. */
export interface Configuration extends EntryId {
  readonly membership: Membership;
}

export const membersMax = 64;

/** Each decision needs a majority of each of these sets: of one, or of both while a change is under way. */
export function voterSetsOf({ members, before }: Membership): readonly (readonly ReplicaId[])[] {
  const now = votersOf(members);
  if (before === undefined) return [now];
  return [now, votersOf(before).map((id) => standInFor(id, members, before))];
}

/** Every replica that takes part, in either set. */
export function membersOf({ members, before = [] }: Membership): readonly Member[] {
  const leaving = before.filter(({ id }) => !members.some((member) => member.id === id));
  return [...members, ...leaving];
}

export function memberOf({ members, before = [] }: Membership, id: ReplicaId): Member | undefined {
  return members.find((member) => member.id === id) ?? before.find((member) => member.id === id);
}

/** The members after the change, or why there is none. `incarnation`: of the directory that was heard for a member. */
export function membersAfter(
  members: readonly Member[],
  change: MembershipChange,
  incarnation: (id: ReplicaId) => number | undefined,
): readonly Member[] | InstructionRefusal {
  let after = members;
  for (const each of changesOf(change)) {
    const made = membersAfterOne(after, each, incarnation);
    if (typeof made === "string") return made;
    after = made;
  }
  return votersOf(after).length === 0 ? "LAST_VOTER" : after;
}

function membersAfterOne(
  members: readonly Member[],
  change: MemberChange,
  incarnation: (id: ReplicaId) => number | undefined,
): readonly Member[] | InstructionRefusal {
  const { id } = change;
  const known = members.find((member) => member.id === id);
  const others = members.filter((member) => member.id !== id);
  if (change.kind === "add") {
    if (known !== undefined) return "ALREADY_A_MEMBER";
    if (members.length >= membersMax) return "TOO_MANY_MEMBERS";
    return [...others, newMember(change, change.role)];
  }
  if (known === undefined) return "NOT_A_MEMBER";
  switch (change.kind) {
    case "replace":
      return [...others, replacing(change, known, incarnation(id))];
    case "remove":
      return others;
    case "promote":
      return members.map((member) => (member === known ? promoted(member, incarnation(id)) : member));
  }
}

/** The least number of voters of which any two sets meet in one: floor(n / 2) + 1. */
export function quorumOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** As whom, under Byzantine faults, a change of members is asked for, and the end of its epoch is waited for: no client is called so. */
export const administrator = "administrator";

/** Fewer tolerate nobody who lies. */
export const byzantineMembersMin = 4;

/** As many of `count` replicas may lie: the largest whole number below a third. */
export function liarsMaxOf(count: number): number {
  return Math.floor((count - 1) / 3);
}

/** Any two such sets of replicas share one that does not lie, and those who do not lie are one: 2f + 1 of 3f + 1. */
export function byzantineQuorumOf(count: number): number {
  return Math.ceil((count + liarsMaxOf(count) + 1) / 2);
}

export function votersOf(members: readonly Member[]): readonly ReplicaId[] {
  return members.filter(({ role }) => role === "voter").map(({ id }) => id);
}

/** A replica whose disk was replaced is another one: for the old one, which can answer no more, stands a name that nobody has. */
function standInFor(id: ReplicaId, members: readonly Member[], before: readonly Member[]): ReplicaId {
  const now = members.find((member) => member.id === id)?.incarnation;
  const then = before.find((member) => member.id === id)?.incarnation;
  return now === undefined || now === then ? id : `${id}~`;
}

function newMember(
  { id, peer, client }: { readonly id: ReplicaId; readonly peer: string; readonly client: string },
  role: MemberRole,
): Member {
  return { id, role, incarnation: anyIncarnation, peer, client };
}

/** Of one that is not bound yet the directory that was heard is replaced. */
function replacing(
  change: MemberChange & { readonly kind: "replace" },
  known: Member,
  heard: number | undefined,
): Member {
  const member = newMember(change, known.role === "learner" ? "learner" : "joining");
  const replaces = known.incarnation === anyIncarnation ? (heard ?? known.replaces) : known.incarnation;
  return replaces === undefined ? member : { ...member, replaces };
}

function promoted({ replaces, ...member }: Member, heard: number | undefined): Member {
  const isBound = member.incarnation !== anyIncarnation || heard === undefined || heard === replaces;
  return { ...member, role: "voter", incarnation: isBound ? member.incarnation : heard };
}
