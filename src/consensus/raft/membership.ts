/**
 * Changing the members (Raft section 6; thesis, chapter 4): the leader's half.
 *
 * Owns: when a change may begin, its two entries, promotion, leaving. Leaves to others: what a configuration means (`configuration.ts`),
 * what a change makes of the members (`model/membership.ts`). Called by `step.ts`.
 *
 *   C_old --joint entry appended--> C_old,new: both majorities --it is committed: C_new appended--> C_new --committed--> done
 *
 * Hazards: M1, a leader changes members only after it has committed an entry of its own term; M7, one change at a time; M5, a new
 * voter has nearly the whole log; M4 and M5, a change that could not be committed is not begun; E13, a leader that is removed
 * leads until C_new is committed and never again.
 */
import { invariant } from "../../base/invariant.js";
import { after, type ReplicaId } from "../../model/ids.js";
import { changesOf, type InstructionRefusal, type MembershipChange } from "../../model/instruction.js";
import { encodeMembership } from "../../model/membership-codec.js";
import { memberOf, membersAfter, voterSetsOf, type Member, type Membership } from "../../model/membership.js";
import { isMajority } from "../quorum.js";
import { isChanging, newestConfiguration } from "./configuration.js";
import { newFollower } from "./progress.js";
import type { Leading } from "./replication.js";
import { stepDown } from "./roles.js";
import { isSettled } from "./state.js";
import { bestTarget } from "./transfer.js";
import { appendEntry, send } from "./turn.js";

/** A learner that lacks no more entries than this may become a voter. */
export const promotionLagMax = 128;

/** `instruction` is answered when the new members alone decide; undefined if nobody asked. */
export function beginChange(leading: Leading, change: MembershipChange, instruction: number | undefined): void {
  const refusal = tryChange(leading, change);
  const { role, turn } = leading;
  if (refusal === undefined) role.change = instruction;
  else if (instruction !== undefined) turn.answers.push({ kind: "instructed", id: instruction, outcome: refusal });
}

/** Whoever is joining and lacks little becomes a voter, one at a time. */
export function promoteDue(leading: Leading): void {
  const { members } = newestConfiguration(leading.state).membership;
  const next = members.find((member) => member.role === "joining" && isClose(leading, member));
  if (next !== undefined) beginChange(leading, { kind: "promote", id: next.id }, undefined);
}

/** The second entry follows when the first is committed, whichever leader began the change. */
export function advanceChange(leading: Leading): void {
  const { state, role, turn } = leading;
  const { index, membership } = newestConfiguration(state);
  if (index > state.commitIndex || !isSettled(state)) return;
  if (membership.before !== undefined) return appendMembership(leading, { members: membership.members });
  if (role.change === undefined) return;
  turn.answers.push({ kind: "instructed", id: role.change, outcome: "done" });
  role.change = undefined;
}

/** After everything due was sent: those who are out and know it, or cannot be told, are forgotten, be it this leader itself. */
export function leave(leading: Leading): void {
  const { state, role, turn } = leading;
  if (isChanging(state)) return;
  const { index, membership } = newestConfiguration(state);
  for (const { id, commitSent } of role.followers.values()) {
    if (state.peers.includes(id)) continue;
    if (commitSent >= index || state.unreachable.has(id)) role.followers.delete(id);
  }
  if (memberOf(membership, state.self) !== undefined) return;
  const next = bestTarget(leading, undefined);
  if (next !== undefined) send(turn, next.id, { kind: "TimeoutNow", term: state.term });
  stepDown(state, turn);
}

function tryChange(leading: Leading, change: MembershipChange): InstructionRefusal | "done" | undefined {
  const { state, role } = leading;
  const { membership } = newestConfiguration(state);
  if (!isSettled(state) || isChanging(state) || role.transfer !== undefined) return "BUSY";
  const members = membersAfter(membership.members, change, (id) => state.incarnations.get(id));
  if (typeof members === "string") return members;
  const changes = changesOf(change);
  const isVoter = (id: ReplicaId): boolean => memberOf(membership, id)?.role === "voter";
  const promotions = changes.filter(({ kind, id }) => kind === "promote" && !isVoter(id));
  if (promotions.length === 0 && changes.every(({ kind }) => kind === "promote")) return "done";
  const promoted = promotions.map(({ id }) => memberOf(membership, id));
  if (promoted.some((member) => member === undefined || !isClose(leading, member))) return "NOT_CLOSE";
  const joint = { members, before: membership.members };
  if (!isMajority(voterSetsOf(joint), (id) => isHeard(leading, id))) return "NO_QUORUM";
  appendMembership(leading, joint);
  return undefined;
}

/** Counts from now on. New members are replicated to; those who leave are until they have been told. */
function appendMembership(leading: Leading, membership: Membership): void {
  const { state, role, turn } = leading;
  const { log, term } = state;
  invariant(!isUncommitted(leading), "R17 a configuration follows one that is committed");
  const index = after(log.lastIndex);
  appendEntry(state, turn, {
    ...{ index, term, kind: "configuration", time: log.lastTime },
    payload: encodeMembership(membership),
  });
  for (const id of state.peers) {
    if (!role.followers.has(id)) role.followers.set(id, newFollower(id, index, turn.now));
  }
}

function isUncommitted({ state }: Leading): boolean {
  return newestConfiguration(state).index > state.commitIndex;
}

function isClose(leading: Leading, { id, replaces }: Member): boolean {
  const { state, role } = leading;
  if (replaces !== undefined && state.incarnations.get(id) === replaces) return false;
  const progress = role.followers.get(id)?.progress;
  // Before its first answer nothing is known of it.
  if (progress?.mode !== "replicate") return false;
  return progress.match + promotionLagMax >= state.log.lastIndex && isHeard(leading, id);
}

/** This leader itself, or a follower that answered within the shortest election time-out. */
function isHeard({ state, role, turn }: Leading, id: ReplicaId): boolean {
  if (id === state.self) return true;
  const contactAt = role.followers.get(id)?.contactAt ?? -Infinity;
  return !state.unreachable.has(id) && contactAt >= turn.now - state.settings.electionTimeoutMsMin;
}
