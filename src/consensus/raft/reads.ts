/**
 * Read barriers: an index such that a state executed up to it reflects all that was acknowledged before the question
 * (thesis, section 6.4).
 *
 * Owns: rounds of questions at the leader, forwarding at the others. Leaves to others: executing up to the index. Called by
 * `step.ts`. The index is the commit index once the leader's own term has committed something, taken *before* a round that a
 * majority answers: then nobody else led when it was taken. One round runs at a time, and whoever asks meanwhile shares the
 * next. No question is dropped: it passes, fails, or fails by its deadline.
 */
import type { ReplicaId } from "../../model/ids.js";
import { quorumOf } from "../../model/membership.js";
import type { ReadIndex, ReadIndexReply } from "./messages.js";
import { beginRound, type Leading } from "./replication.js";
import { leaderOf, type RaftState, type ReadRequest } from "./state.js";
import { send, type Turn } from "./turn.js";

/** Questions that wait at one replica. One more fails at once: the asker is told to slow down, not left to hang. */
export const waitingReadsMax = 10_000;

export function onBarrier(state: RaftState, barrier: number, turn: Turn): void {
  const { role } = state;
  if (role.kind === "leader") return askLeader(state, { from: state.self, id: barrier }, turn);
  const leader = leaderOf(state);
  if (leader === undefined || state.unreachable.has(leader) || state.forwarded.size >= waitingReadsMax) {
    turn.answers.push({ kind: "barrierFailed", id: barrier });
    return;
  }
  // A new id for each try: the late answer to an earlier one speaks of an earlier time.
  const id = state.nextReadId;
  state.nextReadId += 1;
  state.forwarded.set(id, { barrier, leader, deadline: turn.now + state.settings.electionTimeoutMsMax });
  send(turn, leader, { kind: "ReadIndex", term: state.term, id });
}

export function onReadIndex(state: RaftState, from: ReplicaId, { id }: ReadIndex, turn: Turn): void {
  if (state.role.kind === "leader") askLeader(state, { from, id }, turn);
  else answer(state, { from, id }, undefined, turn);
}

export function onReadIndexReply(state: RaftState, from: ReplicaId, message: ReadIndexReply, turn: Turn): void {
  const asked = state.forwarded.get(message.id);
  if (asked === undefined || asked.leader !== from) return;
  state.forwarded.delete(message.id);
  const { barrier: id } = asked;
  const { index } = message;
  turn.answers.push(index === undefined ? { kind: "barrierFailed", id } : { kind: "barrierPassed", id, index });
}

/** Ends the round that a majority has answered, and begins the next for those who wait. */
export function advanceReads(leading: Leading): void {
  const { state, role } = leading;
  passRound(leading);
  if (role.runningReads !== undefined || role.waitingReads.length === 0) return;
  // Before that, entries that an earlier leader acknowledged may not be known to be committed here.
  if (state.commitIndex < role.noopIndex) return;
  beginRound(leading);
  role.runningReads = { round: role.round, index: state.commitIndex, requests: role.waitingReads.splice(0) };
  passRound(leading);
}

/** Fails what was asked of a leader that leads no more, and what has waited too long. */
export function expireForwarded(state: RaftState, turn: Turn): void {
  const leader = leaderOf(state);
  for (const [id, asked] of state.forwarded) {
    if (asked.leader === leader && turn.now < asked.deadline) continue;
    state.forwarded.delete(id);
    turn.answers.push({ kind: "barrierFailed", id: asked.barrier });
  }
}

function askLeader(state: RaftState, request: ReadRequest, turn: Turn): void {
  if (state.role.kind !== "leader") return;
  const { waitingReads } = state.role;
  if (waitingReads.length < waitingReadsMax) waitingReads.push(request);
  else answer(state, request, undefined, turn);
}

function passRound({ state, role, turn }: Leading): void {
  const { runningReads } = role;
  if (runningReads === undefined) return;
  const { round, index, requests } = runningReads;
  let confirmed = 0;
  for (const id of state.voters) if (id === state.self || (role.followers.get(id)?.round ?? 0) >= round) confirmed += 1;
  if (confirmed < quorumOf(state.voters.length)) return;
  role.runningReads = undefined;
  for (const request of requests) answer(state, request, index, turn);
}

function answer(state: RaftState, { from, id }: ReadRequest, index: ReadIndexReply["index"], turn: Turn): void {
  if (from !== state.self) send(turn, from, { kind: "ReadIndexReply", term: state.term, id, index });
  else turn.answers.push(index === undefined ? { kind: "barrierFailed", id } : { kind: "barrierPassed", id, index });
}
