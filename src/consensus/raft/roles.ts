/**
 * Changing between roles: what is left behind and what begins.
 *
 * Owns: following, standing aside for a higher term, taking the lead. Leaves to others: when (`election.ts`,
 * `follower.ts`, `step.ts`). Called by the handlers. A vote is forgotten only when the term grows (hazards of a candidate
 * that steps down in its own term), so no function here but `adoptTerm` touches it.
 */
import { invariant } from "../../base/invariant.js";
import { nextBetween } from "../../base/random.js";
import { after, counterMax, type ReplicaId, type Term } from "../../model/ids.js";
import { viewOf } from "./configuration.js";
import { bindTo } from "./lease.js";
import { newFollower } from "./progress.js";
import { stallOf } from "./stall.js";
import { followerOf, isVoter, type LeaderRole, type RaftState } from "./state.js";
import { appendEntry, send, setHardState, type Turn } from "./turn.js";

const noPayload = new Uint8Array(0);

/** A random time-out, so that two replicas seldom stand at the same time (section 5.2). */
export function setElectionDeadline(state: RaftState, turn: Turn): void {
  const { electionTimeoutMsMin, electionTimeoutMsMax } = state.settings;
  state.electionDeadline = turn.now + nextBetween(state.random, electionTimeoutMsMin, electionTimeoutMsMax);
}

/**
 * A sooner try, for when there is surely no leader: still random, so that two do not meet again and again. Timers are looked at once a
 * tick, so a range that is not much longer than a tick may separate nobody: it doubles until somebody wins.
 */
export function hurryElection(state: RaftState, turn: Turn): void {
  const { reconnectElectionMsMax, electionTimeoutMsMin } = state.settings;
  const range = Math.min(electionTimeoutMsMin, reconnectElectionMsMax * 2 ** Math.min(state.undecided, 30));
  const soon = turn.now + nextBetween(state.random, 0, range);
  state.electionDeadline = Math.min(state.electionDeadline, soon);
}

/**
 * A replica whose execution stands still leaves so many time-outs to others. Then it stands all the same: perhaps execution stands still
 * everywhere, and goes on only by an entry that somebody has to order (docs/internals/unfinished-commands.md).
 */
const timeoutsPassedMax = 3;

/** Whole, a voter or needed as if it were one, able to do a leader's work at present, and not at the end of its counters: only such a replica may lead. */
export function mayStand(state: RaftState, { now }: Turn): boolean {
  if (
    state.trust !== "whole" ||
    !(isVoter(state, state.self) || isVoterUntilCommitted(state)) ||
    stallOf(state, now, state.isExecutionStalled && state.timeoutsPassed < timeoutsPassedMax) !== undefined
  )
    return false;
  // It was lost with the last entry: the repair of that or another leader's next entry tells it.
  if (!state.log.isTimeKnown) return false;
  return state.term + 1 < counterMax && state.log.lastIndex + 1 < counterMax;
}

/**
 * Out by a configuration that may not be committed: until it is, this log may be the only one that holds it, and those who are left can
 * elect nobody without it. Its own vote does not count (thesis, section 4.2.2).
 */
function isVoterUntilCommitted(state: RaftState): boolean {
  const [before, newest] = state.configurations.slice(-2);
  if (before === undefined || newest === undefined || newest.index <= state.commitIndex) return false;
  return viewOf(state, before).voters.includes(state.self);
}

/** A higher term was heard: whatever role we had is over (section 5.1). */
export function adoptTerm(state: RaftState, turn: Turn, term: Term): void {
  invariant(term > state.term, "R5 a term never goes back");
  setHardState(state, turn, { term, votedFor: undefined });
  stepDown(state, turn);
}

/** Follows nobody until a leader is heard. */
export function stepDown(state: RaftState, turn: Turn): void {
  if (state.role.kind === "leader") {
    failReads(state, turn);
    endInstructions(state.role, turn);
    if (state.role.resigning !== undefined) turn.answers.push({ kind: "resigned", ...state.role.resigning });
    setElectionDeadline(state, turn);
  }
  state.role = followerOf(undefined, turn.now);
}

/** `leader` was heard in our term, so it leads (section 5.2). */
export function follow(state: RaftState, turn: Turn, leader: ReplicaId): void {
  const { role } = state;
  invariant(role.kind !== "leader", "R9 a term has one leader");
  bindTo(state, turn.now);
  if (role.kind !== "follower" || role.leader === undefined) state.role = followerOf(leader, turn.now);
  else {
    invariant(role.leader === leader, "R9 a term has one leader");
    role.heardAt = turn.now;
  }
  state.hasDeferred = false;
  state.timeoutsPassed = 0;
  state.undecided = 0;
  setElectionDeadline(state, turn);
}

/** Opens the term with an entry of its own: only that can settle what earlier terms left behind (section 5.4.2, 8). */
export function lead(state: RaftState, turn: Turn): void {
  const { log, term } = state;
  invariant(state.role.kind === "candidate", "only a candidate becomes leader");
  const noopIndex = after(log.lastIndex);
  state.timeoutsPassed = 0;
  state.undecided = 0;
  state.role = {
    kind: "leader",
    since: turn.now,
    noopIndex,
    followers: new Map(state.peers.map((id) => [id, newFollower(id, noopIndex, turn.now)])),
    round: 1,
    heartbeatDueAt: turn.now + state.settings.heartbeatMs,
    waitingReads: [],
    runningReads: undefined,
    lease: { rounds: [], until: turn.now, isDropped: false },
    transfer: undefined,
    handOverAt: turn.now,
    resigning: undefined,
    hasFailedToHandOver: false,
    change: undefined,
  };
  appendEntry(state, turn, { index: noopIndex, term, kind: "noop", time: log.lastTime, payload: noPayload });
}

/** Whoever leads now: the operator's questions are answered, and what was held is proposed again by its host. */
function endInstructions({ transfer, change }: LeaderRole, turn: Turn): void {
  if (change !== undefined) turn.answers.push({ kind: "instructed", id: change, outcome: "unknown" });
  if (transfer?.instruction === undefined) return;
  const outcome = transfer.isOffered ? "done" : "unknown";
  turn.answers.push({ kind: "instructed", id: transfer.instruction, outcome });
}

/** Every read that waits for this leadership is answered with a "no": the asker tries again at the next leader. */
function failReads(state: RaftState, turn: Turn): void {
  const { role } = state;
  if (role.kind !== "leader") return;
  for (const { from, id } of [...(role.runningReads?.requests ?? []), ...role.waitingReads]) {
    if (from === state.self) turn.answers.push({ kind: "barrierFailed", id });
    else send(turn, from, { kind: "ReadIndexReply", term: state.term, id, index: undefined });
  }
}
