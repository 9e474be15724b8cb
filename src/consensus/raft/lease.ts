/**
 * Leases: a leader that a majority has promised not to replace for a while may answer reads by its clock (thesis, section 6.4.1).
 *
 * Owns: the promise (whoever takes a leader's message gives no vote and no pre-vote until the duration has passed; not after a restart
 * either, since it may have promised just before), and when it ends by the leader's clock. Leaves to others: asking (`reads.ts`),
 * voting (`election.ts`), rounds (`replication.ts`). With a duration of 0 nobody promises anything.
 *
 *     leader     round is sent ------------------------- until -|
 *     follower        |- takes it -------- votes for nobody -------|
 *
 * It counts from when the round was *sent*, and it is shorter than the promise by what two clocks may drift apart: with rates from
 * 1 - d to 1 + d, a promise lasts at least duration / (1 + d), and the leader's clock then shows at least (1 - d) of that.
 * A clock that stops, or drifts more, can make an answer stale (hazard L2): that is out of the model.
 */
import { isMajority } from "../quorum.js";
import type { LeaderRole, RaftState } from "./state.js";

/** Later rounds are not noted until a majority has answered one of these. */
const roundsMax = 64;

/** A leader was heard: until then it is not replaced with our vote. */
export function bindTo(state: RaftState, heardAt: number): void {
  state.boundUntil = heardAt + state.settings.leaseMs;
}

/** May neither vote nor stand. */
export function isBound(state: RaftState, now: number): boolean {
  return now < state.boundUntil;
}

export function noteRound(state: RaftState, role: LeaderRole, now: number): void {
  if (state.settings.leaseMs === 0) return;
  settle(state, role);
  if (role.lease.rounds.length < roundsMax) role.lease.rounds.push({ round: role.round, sentAt: now });
}

/** Until when nobody else leads, by our clock; undefined if somebody may lead already. */
export function leaseUntil(state: RaftState, role: LeaderRole, now: number): number | undefined {
  settle(state, role);
  const { until, isDropped } = role.lease;
  if (isDropped) return undefined;
  return now < until ? until : undefined;
}

/** A majority (of both sets while members change) has answered this round or a later one. */
export function isConfirmed(state: RaftState, role: LeaderRole, round: number): boolean {
  return isMajority(state.voterSets, (id) => id === state.self || (role.followers.get(id)?.round ?? 0) >= round);
}

function settle(state: RaftState, role: LeaderRole): void {
  const { leaseMs, clockDriftPercentMax } = state.settings;
  const { lease } = role;
  for (let at = lease.rounds.length - 1; at >= 0; at -= 1) {
    const noted = lease.rounds[at];
    if (noted === undefined || !isConfirmed(state, role, noted.round)) continue;
    lease.until = noted.sentAt + (leaseMs * (100 - clockDriftPercentMax)) / (100 + clockDriftPercentMax);
    lease.rounds.splice(0, at + 1);
    return;
  }
}
