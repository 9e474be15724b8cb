/**
 * Elections: pre-vote, vote, and what a lost link teaches about them (section 5.2; thesis, sections 4.2.3 and 9.6).
 *
 * Owns: asking and answering for votes. Leaves to others: time-outs (`step.ts`), what a leader then does. Called by `step.ts`.
 *
 *   follower --time-out or lost link--> pre-candidate --majority would--> candidate --majority did--> leader
 *       ^                                   |   ^                             |
 *       '-- leader heard, higher term ------'   '------- split: soon again ---'
 *
 * A pre-candidate has forgotten its leader, so that two of them do not refuse each other in the name of a dead one.
 */
import { isMajority } from "../quorum.js";
import { nextTerm, type ReplicaId } from "../../model/ids.js";
import { nextBetween } from "../../base/random.js";
import type { EntryId } from "../../model/entry.js";
import { isBound } from "./lease.js";
import type { PreVote, PreVoteReply, RequestVote, RequestVoteReply, TimeoutNow } from "./messages.js";
import { hurryElection, lead, mayStand, setElectionDeadline, stepDown } from "./roles.js";
import { followerOf, isHardStateDurable, isVoter, type RaftState } from "./state.js";
import { promise, send, setHardState, type Turn } from "./turn.js";

/** The election deadline has passed. */
export function onElectionTimeout(state: RaftState, turn: Turn): void {
  if (isBound(state, turn.now)) {
    const { reconnectElectionMsMax } = state.settings;
    state.electionDeadline = state.boundUntil + nextBetween(state.random, 0, reconnectElectionMsMax);
    return;
  }
  const isFirstTry = state.role.kind === "follower" && turn.now >= state.hurryUntil;
  setElectionDeadline(state, turn);
  if (!mayStand(state, turn)) {
    state.timeoutsPassed += 1;
    if (state.role.kind === "follower") state.role = followerOf(undefined, turn.now);
    return;
  }
  if (isFirstTry) state.hurryUntil = turn.now + state.settings.electionTimeoutMsMin;
  state.attempt += 1;
  state.hasDeferred = false;
  state.role = { kind: "preCandidate", attempt: state.attempt, granted: new Set([state.self]), refused: new Set() };
  for (const peer of state.voters) if (peer !== state.self) askPeer(state, peer, turn);
  onVotesChanged(state, turn);
}

/** A link opened while we ask for votes: this peer has not been asked. */
export function onPeerReachable(state: RaftState, peer: ReplicaId, turn: Turn): void {
  if (isVoter(state, peer)) askPeer(state, peer, turn);
}

/**
 * The link to the leader broke: most likely it died, and waiting for the time-out would only cost time. With leases on it must be waited
 * for all the same: a leader that we cannot hear may answer reads by what we promised it.
 */
export function onLeaderLost(state: RaftState, turn: Turn): void {
  state.role = followerOf(undefined, turn.now);
  state.hurryUntil = turn.now + state.settings.electionTimeoutMsMin;
  hurryElection(state, turn);
}

export function onPreVote(state: RaftState, from: ReplicaId, message: PreVote, turn: Turn): void {
  if (state.trust === "amnesiac") return;
  const isFree = message.term === state.term && !hearsLeader(state, turn) && !isBound(state, turn.now);
  const granted = isFree && isUpToDate(state, message.last);
  if (granted) defer(state, turn);
  send(turn, from, { kind: "PreVoteReply", term: state.term, attempt: message.attempt, granted });
}

export function onPreVoteReply(state: RaftState, from: ReplicaId, message: PreVoteReply, turn: Turn): void {
  const { role } = state;
  if (role.kind !== "preCandidate" || message.attempt !== role.attempt) return;
  if (message.term !== state.term || !isVoter(state, from)) return;
  (message.granted ? role.granted : role.refused).add(from);
  onVotesChanged(state, turn);
}

export function onRequestVote(state: RaftState, from: ReplicaId, message: RequestVote, turn: Turn): void {
  if (state.trust === "amnesiac") return;
  const { term, votedFor } = state;
  const isFree =
    message.term === term &&
    (votedFor === undefined || votedFor === from) &&
    (message.transfer === true || !isBound(state, turn.now));
  if (!isFree || !isUpToDate(state, message.last)) {
    return send(turn, from, { kind: "RequestVoteReply", term, granted: false });
  }
  // The vote counts from now on, for us; the candidate hears of it once it is durable.
  if (votedFor === undefined) {
    setHardState(state, turn, { term, votedFor: from });
    if (state.role.kind !== "follower") stepDown(state, turn);
    setElectionDeadline(state, turn);
  }
  promise(turn, from, { kind: "RequestVoteReply", term, granted: true });
}

export function onRequestVoteReply(state: RaftState, from: ReplicaId, message: RequestVoteReply, turn: Turn): void {
  const { role } = state;
  if (role.kind !== "candidate" || message.term !== state.term || !isVoter(state, from)) return;
  (message.granted ? role.granted : role.refused).add(from);
  onVotesChanged(state, turn);
}

/** The leader hands over: it is no matter of whether it lives, so nobody is asked for a pre-vote (thesis, section 3.10). */
export function onTimeoutNow(state: RaftState, from: ReplicaId, message: TimeoutNow, turn: Turn): void {
  const { role } = state;
  if (message.term !== state.term || role.kind !== "follower" || role.leader !== from) return;
  if (mayStand(state, turn)) stand(state, turn, { byTransfer: true });
}

/** A write has completed: a candidate's own vote counts from the moment it cannot be forgotten. */
export function onVoteDurable(state: RaftState, turn: Turn): void {
  if (state.role.kind !== "candidate" || !isHardStateDurable(state)) return;
  state.role.granted.add(state.self);
  onVotesChanged(state, turn);
}

/** Draws the conclusion from the answers so far: go on, wait, or try again soon because this try cannot succeed. */
export function onVotesChanged(state: RaftState, turn: Turn): void {
  const { role } = state;
  if (role.kind !== "preCandidate" && role.kind !== "candidate") return;
  const hasWon = isMajority(state.voterSets, (id) => role.granted.has(id));
  if (hasWon) return role.kind === "candidate" ? lead(state, turn) : stand(state, turn, { byTransfer: false });

  if (isMajority(state.voterSets, (id) => canStillGrant(state, role, id))) return;
  if (role.kind === "candidate") {
    state.undecided += 1;
    state.hurryUntil = turn.now + state.settings.electionTimeoutMsMin;
  }
  if (turn.now < state.hurryUntil) hurryElection(state, turn);
}

/** The vote for itself and the requests are one write: they leave when it cannot be forgotten that we stood. */
function stand(state: RaftState, turn: Turn, { byTransfer }: { readonly byTransfer: boolean }): void {
  setHardState(state, turn, { term: nextTerm(state.term), votedFor: state.self });
  state.role = { kind: "candidate", byTransfer, granted: new Set(), refused: new Set() };
  setElectionDeadline(state, turn);
  for (const peer of state.voters) if (peer !== state.self) askPeer(state, peer, turn);
}

function askPeer(state: RaftState, peer: ReplicaId, turn: Turn): void {
  if (state.unreachable.has(peer)) return;
  const { role, term } = state;
  const last = state.log.last;
  if (role.kind === "preCandidate") send(turn, peer, { kind: "PreVote", term, attempt: role.attempt, last });
  if (role.kind !== "candidate") return;
  promise(turn, peer, { kind: "RequestVote", term, last, ...(role.byTransfer ? { transfer: true } : {}) });
}

/** Leads, or has heard a leader within the shortest time-out: then an election would only disturb. */
export function hearsLeader(state: RaftState, turn: Turn): boolean {
  const { role } = state;
  if (role.kind === "leader") return true;
  if (role.kind !== "follower" || role.leader === undefined) return false;
  return turn.now - role.heardAt < state.settings.electionTimeoutMsMin;
}

/** The candidate's log ends with a later term, or is at least as long in the same one (section 5.4.1). */
function isUpToDate(state: RaftState, candidate: EntryId): boolean {
  const own = state.log.last;
  if (candidate.term !== own.term) return candidate.term > own.term;
  return candidate.index >= own.index;
}

/** Gives way to the one we would vote for, once: if its election comes to nothing, ours is not put off again. */
function defer(state: RaftState, turn: Turn): void {
  if (state.hasDeferred || state.role.kind === "leader") return;
  state.hasDeferred = true;
  state.electionDeadline = Math.max(state.electionDeadline, turn.now + state.settings.reconnectElectionMsMax);
}

function canStillGrant(
  state: RaftState,
  role: { readonly granted: ReadonlySet<ReplicaId>; readonly refused: ReadonlySet<ReplicaId> },
  id: ReplicaId,
): boolean {
  if (role.granted.has(id) || id === state.self) return true;
  return !role.refused.has(id) && !state.unreachable.has(id);
}
