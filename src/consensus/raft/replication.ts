/**
 * The leader's half of replication: what each follower is sent, and what its replies decide (sections 5.3 and 5.4.2).
 *
 * Owns: proposals, AppendEntries, heartbeats, commitment, the reasons to step down. Leaves to others: a follower's modes (`progress.ts`),
 * reads (`reads.ts`). Called by `step.ts`. Keeps R15: an entry of an earlier term is never committed by counting its copies.
 */
import { invariant } from "../../base/invariant.js";
import { entryBytes, isForClients, type Entry, type Proposal } from "../../model/entry.js";
import {
  advance,
  after,
  before,
  counterMax,
  minIndex,
  noIndex,
  type LogIndex,
  type ReplicaId,
} from "../../model/ids.js";
import type { LogSpace } from "../../model/log.js";
import { noteRound } from "./lease.js";
import { isMajority, reachedByMajorities } from "../quorum.js";
import type { AppendEntries, AppendEntriesReply } from "./messages.js";
import {
  backToProbe,
  isStaleConflict,
  newFollower,
  onAccepted,
  onSent,
  toSnapshot,
  type Follower,
} from "./progress.js";
import { stepDown } from "./roles.js";
import type { LeaderRole, RaftState } from "./state.js";
import { appendEntry, send, type Turn } from "./turn.js";

export interface Leading {
  readonly state: RaftState;
  readonly role: LeaderRole;
  readonly turn: Turn;
}

export function onPropose({ state, role, turn }: Leading, proposals: readonly Proposal[]): void {
  const { log, term } = state;
  if (role.transfer !== undefined) return void role.transfer.held.push(...proposals);
  invariant(
    log.lastIndex + proposals.length < counterMax,
    "R13 cannot append: the log has reached the largest index, 2^52",
  );
  for (const { kind, time, payload } of proposals) {
    // The proposer's clock may be behind the last entry's; agreed time only goes forward.
    appendEntry(state, turn, { index: after(log.lastIndex), term, kind, time: Math.max(time, log.lastTime), payload });
  }
}

export function onAppendEntriesReply(leading: Leading, from: ReplicaId, message: AppendEntriesReply): void {
  const { state, role, turn } = leading;
  const follower = role.followers.get(from);
  // Answers of another term say nothing about this one.
  if (follower === undefined || message.term !== state.term) return;
  follower.contactAt = turn.now;
  follower.round = Math.max(follower.round, Math.min(message.round, role.round));
  noteSpace(follower, message.space ?? "ample");
  follower.priority = message.priority ?? 1;
  const { outcome } = message;
  if (outcome.kind === "accepted" && outcome.match <= state.log.lastIndex) onAccepted(follower, outcome.match);
  if (outcome.kind === "conflict") onConflict(state, follower, outcome);
  advanceCommit(state, role);
}

/** What a follower without space was sent for clients it has not taken: it is sent again from what it has, once there is space. */
function noteSpace(follower: Follower, space: LogSpace): void {
  const isNew = space === "none" && follower.space !== "none";
  follower.space = space;
  if (isNew && follower.progress.mode === "replicate") backToProbe(follower, after(follower.progress.match));
}

/** The newest entry that a majority has on disk, if it is of our own term; with it, everything before. */
export function advanceCommit(state: RaftState, role: LeaderRole): void {
  if (state.commitIndex === state.log.lastIndex) return;
  const reached = reachedByMajorities(state.voterSets, (id) => reachedBy(state, role, id));
  const index = minIndex(reached, state.log.lastIndex);
  if (index <= state.commitIndex || state.log.termAt(index) !== state.term) return;
  invariant(index >= role.noopIndex, "R15 a leader's first commitment is of its own term");
  state.commitIndex = index;
}

/** Sends each follower what its mode and window allow, then the news of a commit to those who lack nothing else. */
export function sendDue(leading: Leading): void {
  for (const follower of leading.role.followers.values()) {
    if (!leading.state.unreachable.has(follower.id)) sendDueTo(leading, follower);
  }
}

/** A new round: each follower is asked to show that it still follows. */
export function beginRound(leading: Leading): void {
  const { state, role, turn } = leading;
  role.round += 1;
  role.heartbeatDueAt = turn.now + state.settings.heartbeatMs;
  turn.shared = undefined;
  noteRound(state, role, turn.now);
  for (const follower of role.followers.values()) {
    if (!state.unreachable.has(follower.id)) sendAppend(leading, follower, []);
  }
}

/** Steps down when a majority has not been heard for a whole election time-out: the others may have gone on without us. */
export function checkQuorum({ state, role, turn }: Leading): void {
  const since = turn.now - state.settings.electionTimeoutMsMax;
  const isHeard = (id: ReplicaId): boolean => id === state.self || (role.followers.get(id)?.contactAt ?? since) > since;
  if (!isMajority(state.voterSets, isHeard)) stepDown(state, turn);
}

export function onLoaded(leading: Leading, peer: ReplicaId, entries: readonly Entry[]): void {
  const { state, role } = leading;
  const follower = role.followers.get(peer);
  const first = entries[0];
  if (follower === undefined || first === undefined || follower.loading?.from !== first.index) return;
  follower.loading = undefined;
  const isOurs = entries.every((entry, at) => entry.index === advance(first.index, at) && state.log.has(entry));
  if (isOurs && follower.progress.next === first.index) sendAppend(leading, follower, entries);
}

/** A link has opened: what was in flight on an earlier one is lost, or its replies are. */
export function onFollowerReachable({ state, role, turn }: Leading, peer: ReplicaId, isSame: boolean): void {
  const known = role.followers.get(peer);
  // Another data directory has not what the earlier one acknowledged.
  const follower = isSame ? known : known && newFollower(peer, after(state.log.lastIndex), turn.now);
  if (follower !== undefined) role.followers.set(peer, follower);
  if (follower === undefined) return;
  backToProbe(follower, after(follower.progress.match));
  role.round += 1; // So that the probe is answered even if it teaches the follower nothing.
}

/** It lives; what it says is not known yet. */
export function onFollowerArriving({ role, turn }: Leading, peer: ReplicaId): void {
  const follower = role.followers.get(peer);
  if (follower !== undefined) follower.contactAt = turn.now;
}

function onConflict(
  state: RaftState,
  follower: Follower,
  outcome: AppendEntriesReply["outcome"] & { kind: "conflict" },
): void {
  const { rejected, hint } = outcome;
  // Refusing what it has acknowledged: it lost its disk. Asking again at once would only spin; heartbeats go on.
  if (isStaleConflict(follower, rejected) || rejected <= follower.progress.match) return;
  if (hint.index < state.log.start.index) return toSnapshot(follower, state.checkpoint.index);
  const agreed = state.log.lastNotAbove(minIndex(hint.index, before(rejected)), hint.term);
  backToProbe(follower, after(agreed.index));
}

function reachedBy(state: RaftState, role: LeaderRole, id: ReplicaId): LogIndex {
  if (id === state.self) return state.writes.durableIndex;
  return role.followers.get(id)?.progress.match ?? noIndex;
}

function sendDueTo(leading: Leading, follower: Follower): void {
  const { state, turn } = leading;
  const { log, settings } = state;
  while (hasRoom(leading, follower)) {
    const from = follower.progress.next;
    if (from <= log.start.index) {
      // Given back since it was last sent something (hazard S6).
      toSnapshot(follower, state.checkpoint.index);
      break;
    }
    const entries = takenBy(follower, log.entriesFrom(from, settings.appendBytesMax));
    if (entries?.length === 0 && follower.progress.mode === "replicate") break;
    if (entries === undefined) {
      follower.loading = { from, askedAt: turn.now };
      turn.sends.push({ kind: "load", peer: follower.id, from, bytesMax: settings.appendBytesMax });
      return;
    }
    sendAppend(leading, follower, entries);
  }
  const { progress } = follower;
  if (progress.mode === "snapshot" && !progress.told) return sendAppend(leading, follower, []);
  const hasAll = progress.mode === "replicate" && progress.next > log.lastIndex;
  if (hasAll && follower.commitSent < state.commitIndex) sendAppend(leading, follower, []);
}

/** None of them: the next entry is for clients, and the follower has no space for it. */
function takenBy({ space }: Follower, entries: readonly Entry[] | undefined): readonly Entry[] | undefined {
  if (space !== "none") return entries;
  const end = (entries ?? []).findIndex(isForClients);
  return end < 0 ? (entries ?? []) : (entries ?? []).slice(0, end);
}

function hasRoom({ state, turn }: Leading, { progress, loading }: Follower): boolean {
  // A read that failed has no answer: it is asked for again, so that the follower does not wait for ever.
  if (loading !== undefined && turn.now - loading.askedAt < state.settings.electionTimeoutMsMax) return false;
  if (progress.mode === "snapshot") return false;
  if (progress.mode === "probe") return !progress.paused;
  const { inflightBytesMax, inflightCountMax } = state.settings;
  const { bytes, messages } = progress.inflight;
  return progress.next <= state.log.lastIndex && bytes < inflightBytesMax && messages.length < inflightCountMax;
}

function sendAppend(leading: Leading, follower: Follower, entries: readonly Entry[]): void {
  const { state, role, turn } = leading;
  const { progress } = follower;
  if (progress.mode === "snapshot") {
    progress.told = true;
    const { term, checkpoint: last } = state;
    return send(turn, follower.id, { kind: "InstallSnapshot", term, round: role.round, last });
  }
  // A heartbeat to a follower whose place was given back since.
  if (progress.next <= state.log.start.index) {
    toSnapshot(follower, state.checkpoint.index);
    return sendAppend(leading, follower, []);
  }
  const message = makeAppend(leading, before(follower.progress.next), entries);
  const last = message.entries.at(-1);
  if (last !== undefined || follower.progress.mode === "probe") {
    let bytes = 0;
    for (const entry of message.entries) bytes += entryBytes(entry);
    onSent(follower, last?.index ?? message.previous.index, bytes);
  }
  follower.commitSent = state.commitIndex;
  send(turn, follower.id, message);
}

/** Followers at the same place get the same message, which the engine then encodes once. */
function makeAppend({ state, role, turn }: Leading, previousIndex: LogIndex, entries: readonly Entry[]): AppendEntries {
  const { shared } = turn;
  const isSame = shared?.previous.index === previousIndex && shared.entries.length === entries.length;
  if (isSame && shared.round === role.round && shared.commit === state.commitIndex) return shared;
  const previous = { index: previousIndex, term: state.log.termAt(previousIndex) };
  turn.shared = {
    kind: "AppendEntries",
    term: state.term,
    round: role.round,
    previous,
    commit: state.commitIndex,
    entries,
  };
  return turn.shared;
}
