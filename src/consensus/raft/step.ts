/**
 * The whole protocol as one function. The same state, input and time always give the same effects: nothing below reads a
 * clock, draws entropy, awaits, or touches a socket.
 *
 * Owns: the dispatch and what happens with time. Leaves to others: the handlers. Called by the engine, once for each input.
 */
import { invariant, unreachable } from "../../base/invariant.js";
import { minIndex, type ReplicaId } from "../../model/ids.js";
import type { Instruction } from "../../model/instruction.js";
import type { Input } from "../vocabulary.js";
import { onCheckpointAsked, onCheckpointed, onInstalled, onInstallSnapshot } from "./checkpoint.js";
import * as election from "./election.js";
import { onAppendEntries, onFollowerDurable, onLeaderArriving } from "./follower.js";
import { checkRaftInvariants } from "./invariants.js";
import type { RaftMessage } from "./messages.js";
import { restoreConfigurations } from "./configuration.js";
import * as membership from "./membership.js";
import { notePromise } from "./promises.js";
import * as reads from "./reads.js";
import * as replication from "./replication.js";
import { adoptTerm } from "./roles.js";
import { onSpace } from "./space.js";
import { completeWrites, type RaftState } from "./state.js";
import * as transfer from "./transfer.js";
import { beginTurn, endTurn, type RaftEffect, type Turn } from "./turn.js";

export type RaftInput = Input<RaftMessage>;

/** `now` is monotonic, in milliseconds. The engine performs the effects in order before it steps again. */
export function step(state: RaftState, input: RaftInput, now: number): readonly RaftEffect[] {
  const turn = beginTurn(state, now);
  // What is committed by now was handed over by earlier effects; only durable entries can be read again.
  state.log.evict(minIndex(state.commitIndex, state.writes.durableIndex), state.settings.logCacheBytes);
  dispatch(state, input, turn);
  if (state.role.kind === "leader") {
    const leading = { state, role: state.role, turn };
    reads.advanceReads(leading);
    membership.advanceChange(leading);
    replication.sendDue(leading);
    transfer.advanceTransfer(leading);
    membership.leave(leading);
  }
  if (state.forwarded.size > 0) reads.expireForwarded(state, turn);
  const effects = endTurn(state, turn);
  checkRaftInvariants(state);
  return effects;
}

function dispatch(state: RaftState, input: RaftInput, turn: Turn): void {
  switch (input.kind) {
    case "tick":
      return onTick(state, turn);
    case "receive":
      return receive(state, input.from, input.message, turn);
    case "connected":
      return onConnected(state, input, turn);
    case "disconnected":
      return onDisconnected(state, input.peer, turn);
    case "propose":
      if (state.role.kind === "leader") replication.onPropose({ state, role: state.role, turn }, input.proposals);
      return;
    case "arriving":
      if (state.role.kind === "leader") replication.onFollowerArriving({ state, role: state.role, turn }, input.peer);
      else onLeaderArriving(state, input.peer, turn);
      return;
    case "persisted":
      return onPersisted(state, input.id, turn);
    case "loaded":
      if (state.role.kind === "leader")
        replication.onLoaded({ state, role: state.role, turn }, input.peer, input.entries);
      return;
    case "barrier":
      return reads.onBarrier(state, input, turn);
    case "checkpointed":
      return onCheckpointed(state, input.checkpoint, turn.now);
    case "installed":
      return onInstalled(state, turn, input);
    case "instruct":
      return onInstruct(state, input.id, input.instruction, turn);
    case "execution":
      state.isExecutionStalled = input.isStalled;
      state.isQuarantined = input.isQuarantined === true;
      return;
    case "space":
      return onSpace(state, input.space, turn.now);
    case "repaired":
      if (input.newest !== undefined) state.log.repaired(input.newest);
      restoreConfigurations(state, input.configurations ?? []);
      // Amnesia is no matter of entries: what it may have promised is forgotten for good.
      if (state.trust === "damaged") state.trust = "whole";
      return;
    default:
      return unreachable(input);
  }
}

function onTick(state: RaftState, turn: Turn): void {
  forgiveStall(state, turn);
  const { role } = state;
  if (role.kind === "leader") {
    const leading = { state, role, turn };
    if (turn.now >= role.heartbeatDueAt) replication.beginRound(leading);
    replication.checkQuorum(leading);
    transfer.resignDue(leading);
    membership.promoteDue(leading);
  } else if (turn.now >= state.electionDeadline) election.onElectionTimeout(state, turn);
}

/**
 * Time in which this process did not run is no evidence against others: their messages may lie unread in our sockets. So
 * nobody is given up before there was a chance to read them. Safety never rests on it: reads are proved by rounds.
 */
function forgiveStall(state: RaftState, { now }: Turn): void {
  const stalled = now - state.lastTick;
  state.lastTick = now;
  const { electionTimeoutMsMin, electionTimeoutMsMax, heartbeatMs } = state.settings;
  // A leader that stood still once may do so again: for a while others are the better ones.
  const isLong = stalled > state.settings.turnStallMsMax;
  if (isLong && state.role.kind === "leader") state.restUntil = now + 2 * electionTimeoutMsMax;
  if (stalled < electionTimeoutMsMin / 2) return;
  state.electionDeadline = Math.max(state.electionDeadline, now + heartbeatMs);
  for (const write of state.writes.pending) write.askedAt += stalled;
  if (state.role.kind !== "leader") return;
  const heard = now - electionTimeoutMsMax + 2 * heartbeatMs;
  for (const follower of state.role.followers.values()) follower.contactAt = Math.max(follower.contactAt, heard);
}

function receive(state: RaftState, from: ReplicaId, message: RaftMessage, turn: Turn): void {
  invariant(from !== state.self, "R0 a replica never hears from itself");
  if (!state.peers.includes(from) && !isHeard(state, from, message, turn)) return;
  if (message.term > state.term) adoptTerm(state, turn, message.term); // Section 5.1.
  notePromise(state.promises, from, message);
  switch (message.kind) {
    case "PreVote":
      return election.onPreVote(state, from, message, turn);
    case "PreVoteReply":
      return election.onPreVoteReply(state, from, message, turn);
    case "RequestVote":
      return election.onRequestVote(state, from, message, turn);
    case "RequestVoteReply":
      return election.onRequestVoteReply(state, from, message, turn);
    case "AppendEntries":
      return onAppendEntries(state, from, message, turn);
    case "AppendEntriesReply":
      if (state.role.kind === "leader")
        replication.onAppendEntriesReply({ state, role: state.role, turn }, from, message);
      return;
    case "ReadIndex":
      return reads.onReadIndex(state, from, message, turn);
    case "ReadIndexReply":
      return reads.onReadIndexReply(state, from, message, turn);
    case "InstallSnapshot":
      return onInstallSnapshot(state, from, message, turn);
    case "TimeoutNow":
      return election.onTimeoutNow(state, from, message, turn);
    default:
      return unreachable(message);
  }
}

/**
 * From a replica that is no member as far as our log goes. It may be a member, even the leader, by entries that we lack; or it was
 * removed and does not know it, and then it must disturb nobody who hears a leader (thesis, section 4.2.3; hazard E12).
 */
function isHeard(state: RaftState, from: ReplicaId, message: RaftMessage, turn: Turn): boolean {
  switch (message.kind) {
    case "AppendEntries":
    case "InstallSnapshot":
      return true;
    case "PreVote":
    case "RequestVote":
      return !election.hearsLeader(state, turn);
    case "AppendEntriesReply":
      // It is on its way out: it is sent what it lacks, and counted nowhere.
      return state.role.kind === "leader" && state.role.followers.has(from) && message.term === state.term;
    default:
      return false;
  }
}

function onInstruct(state: RaftState, id: number, instruction: Instruction, turn: Turn): void {
  if (instruction.kind === "reconfigure") {
    turn.answers.push({ kind: "instructed", id, outcome: "NOT_UNDER_CRASH_FAULTS" });
    return;
  }
  if (state.role.kind === "leader") {
    const leading = { state, role: state.role, turn };
    if (instruction.kind === "transfer") return transfer.beginTransfer(leading, instruction.to, id);
    if (instruction.kind === "checkpoint") return onCheckpointAsked(leading, id);
    return membership.beginChange(leading, instruction.change, id);
  }
  turn.answers.push({ kind: "instructed", id, outcome: "NO_LEADER" });
}

function onPersisted(state: RaftState, id: number, turn: Turn): void {
  completeWrites(state.writes, id);
  election.onVoteDurable(state, turn);
  onFollowerDurable(state, turn);
  if (state.role.kind === "leader") replication.advanceCommit(state, state.role);
}

function onConnected(state: RaftState, { peer, incarnation }: RaftInput & { kind: "connected" }, turn: Turn): void {
  const known = state.incarnations.get(peer);
  if (incarnation !== undefined) state.incarnations.set(peer, incarnation);
  const isSame = known === undefined || incarnation === undefined || known === incarnation;
  if (!isSame) state.promises.delete(peer);
  state.unreachable.delete(peer);
  if (state.role.kind === "leader") replication.onFollowerReachable({ state, role: state.role, turn }, peer, isSame);
  else election.onPeerReachable(state, peer, turn);
}

function onDisconnected(state: RaftState, peer: ReplicaId, turn: Turn): void {
  state.unreachable.add(peer);
  const { role } = state;
  if (role.kind === "leader") transfer.onTargetLost({ state, role, turn }, peer);
  // A leader sends nothing there until the link opens, and starts anew then.
  if (role.kind === "follower" && role.leader === peer) election.onLeaderLost(state, turn);
  else election.onVotesChanged(state, turn);
}
