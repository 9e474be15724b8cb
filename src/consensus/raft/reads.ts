/**
 * Read barriers: an index such that a state executed up to it reflects all that was acknowledged before the question
 * (thesis, section 6.4).
 *
 * Owns: rounds of questions at the leader, forwarding at the others. Leaves to others: executing up to the index. Called by
 * `step.ts`. The index is the commit index once the leader's own term has committed something, taken *before* a round that a
 * majority answers: then nobody else led when it was taken. One round runs at a time, and whoever asks meanwhile shares the
 * next. No question is dropped: it passes, fails, or fails by its deadline. A question `byLease` needs no round while the leader has a lease
 * (`lease.ts`); without one it is like any other.
 */
import type { LogIndex, ReplicaId } from "../../model/ids.js";
import { isConfirmed, leaseUntil } from "./lease.js";
import type { ReadIndex, ReadIndexReply } from "./messages.js";
import { beginRound, type Leading } from "./replication.js";
import { leaderOf, type RaftState, type ReadRequest } from "./state.js";
import { send, type Turn } from "./turn.js";

/** Questions that wait at one replica. One more fails at once: the asker is told to slow down, not left to hang. */
export const waitingReadsMax = 10_000;

interface Barrier {
  readonly id: number;
  readonly byLease?: boolean | undefined;
}

export function onBarrier(state: RaftState, { id: barrier, byLease = false }: Barrier, turn: Turn): void {
  const { role } = state;
  if (role.kind === "leader") return askLeader(state, { from: state.self, id: barrier }, byLease, turn);
  const leader = leaderOf(state);
  if (leader === undefined || state.unreachable.has(leader) || state.forwarded.size >= waitingReadsMax) {
    turn.answers.push({ kind: "barrierFailed", id: barrier });
    return;
  }
  // A new id for each try: the late answer to an earlier one speaks of an earlier time.
  const id = state.nextReadId;
  state.nextReadId += 1;
  state.forwarded.set(id, { barrier, leader, deadline: turn.now + state.settings.electionTimeoutMsMax });
  send(turn, leader, { kind: "ReadIndex", term: state.term, id, byLease });
}

export function onReadIndex(state: RaftState, from: ReplicaId, { id, byLease }: ReadIndex, turn: Turn): void {
  if (state.role.kind === "leader") askLeader(state, { from, id }, byLease, turn);
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

function askLeader(state: RaftState, request: ReadRequest, byLease: boolean, turn: Turn): void {
  const { role } = state;
  if (role.kind !== "leader") return;
  const isSettled = state.commitIndex >= role.noopIndex;
  const until = byLease && isSettled ? leaseUntil(state, role, turn.now) : undefined;
  if (until !== undefined) return answer(state, request, { index: state.commitIndex, until }, turn);
  const { waitingReads } = role;
  if (waitingReads.length < waitingReadsMax) waitingReads.push(request);
  else answer(state, request, undefined, turn);
}

function passRound({ state, role, turn }: Leading): void {
  const { runningReads } = role;
  if (runningReads === undefined) return;
  const { round, index, requests } = runningReads;
  if (!isConfirmed(state, role, round)) return;
  role.runningReads = undefined;
  for (const request of requests) answer(state, request, { index }, turn);
}

interface Proof {
  readonly index: LogIndex;
  /** What it rests on ends then, by our clock. Whoever asked from elsewhere has no use for it: the index was taken after the question. */
  readonly until?: number;
}

function answer(state: RaftState, { from, id }: ReadRequest, proof: Proof | undefined, turn: Turn): void {
  if (from !== state.self) send(turn, from, { kind: "ReadIndexReply", term: state.term, id, index: proof?.index });
  else turn.answers.push(proof === undefined ? { kind: "barrierFailed", id } : { kind: "barrierPassed", id, ...proof });
}
