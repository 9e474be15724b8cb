/**
 * The follower's half of replication: taking entries, saying what is durable, committing what the leader has decided.
 *
 * Owns: AppendEntries and its reply (section 5.3). Leaves to others: the leader's half (`replication.ts`). Called by `step.ts`.
 * Keeps R8. An acknowledgement names what *this leader's messages* have shown to be equal, never the own last index.
 */
import { advance, maxIndex, minIndex, type LogIndex, type ReplicaId } from "../../model/ids.js";
import { isForClients, type Entry } from "../../model/entry.js";
import type { AppendEntries, AppendEntriesReply } from "./messages.js";
import { follow, mayStand, setElectionDeadline } from "./roles.js";
import { isHardStateDurable, type FollowerRole, type RaftState } from "./state.js";
import { appendEntry, promise, send, truncateLog, type Turn } from "./turn.js";

export function onAppendEntries(state: RaftState, from: ReplicaId, message: AppendEntries, turn: Turn): void {
  const { term } = state;
  if (message.term < term) {
    const outcome = { kind: "outdated" } as const;
    return send(turn, from, { kind: "AppendEntriesReply", term, round: message.round, outcome });
  }
  follow(state, turn, from);
  const { role, log } = state;
  if (role.kind !== "follower" || state.trust === "amnesiac") return;

  const { previous, round } = message;
  if (!log.has(previous)) {
    role.round = Math.max(role.round, round);
    const outcome = {
      kind: "conflict",
      rejected: previous.index,
      hint: log.lastNotAbove(previous.index, previous.term),
    } as const;
    return send(turn, from, { kind: "AppendEntriesReply", term, round, outcome, ...standingOf(state, turn) });
  }
  const entries = takeable(state, message.entries);
  const isNew = takeEntries(state, entries, turn);
  const verified = advance(previous.index, entries.length);
  role.verified = maxIndex(role.verified, verified);
  // Not beyond what this very message has verified: a longer tail of ours may be another leader's.
  state.commitIndex = maxIndex(state.commitIndex, minIndex(message.commit, verified));
  if (isNew) promiseMatch({ state, role, turn }, round);
  // Entries that we had already may be a probe; a message without any is answered if the leader learns something from it.
  else if (message.entries.length > 0 || round > role.round || isMoreDurable(state, role))
    reportMatch({ state, role, turn }, round);
}

/** A write has completed: entries that an earlier leader had sent may now be durable for the present one. */
export function onFollowerDurable(state: RaftState, turn: Turn): void {
  const { role } = state;
  if (role.kind !== "follower" || role.leader === undefined || !isHardStateDurable(state)) return;
  if (isMoreDurable(state, role)) reportMatch({ state, role, turn }, role.round);
}

/**
 * A part of what the leader sends has come, behind which its heartbeats wait: it is still there, and is told that this replica is too, however
 * long a large entry takes. That says nothing about a round, so no read and no lease rests on it.
 */
export function onLeaderArriving(state: RaftState, peer: ReplicaId, turn: Turn): void {
  const { role } = state;
  if (role.kind !== "follower" || role.leader !== peer || state.trust === "amnesiac") return;
  if (turn.now - role.heardAt < state.settings.heartbeatMs) return;
  role.heardAt = turn.now;
  setElectionDeadline(state, turn);
  reportMatch({ state, role, turn }, role.round);
}

/** Without space nothing new that is for clients, nor what follows it (hazard D12). */
function takeable({ space, log }: RaftState, entries: readonly Entry[]): readonly Entry[] {
  if (space !== "none") return entries;
  const end = entries.findIndex((entry) => isForClients(entry) && !log.has(entry));
  return end < 0 ? entries : entries.slice(0, end);
}

/** Appends what is missing, and replaces what conflicts; entries that are there already stay, with all after them. */
function takeEntries(state: RaftState, entries: readonly Entry[], turn: Turn): boolean {
  const { log } = state;
  const firstNew = entries.findIndex((entry) => !log.has(entry));
  if (firstNew < 0) return false;
  const first = entries[firstNew]?.index;
  if (first !== undefined && first <= log.lastIndex) truncateLog(state, turn, first);
  for (let at = firstNew; at < entries.length; at += 1) {
    const entry = entries[at];
    if (entry !== undefined) appendEntry(state, turn, entry);
  }
  return true;
}

interface Following {
  readonly state: RaftState;
  readonly role: FollowerRole;
  readonly turn: Turn;
}

/** Travels with the write that makes it true. */
function promiseMatch({ state, role, turn }: Following, round: number): void {
  if (role.leader === undefined) return;
  role.acknowledged = role.verified;
  promise(turn, role.leader, accepted({ state, turn }, round, role.verified));
}

/** Claims only what is durable now, so it may leave at once. */
export function reportMatch({ state, role, turn }: Following, round: number): void {
  const match = minIndex(role.verified, state.writes.durableIndex);
  if (role.leader === undefined) return;
  role.round = Math.max(role.round, round);
  role.acknowledged = maxIndex(role.acknowledged, match);
  const reply = accepted({ state, turn }, round, match);
  if (isHardStateDurable(state) && !turn.hardState) send(turn, role.leader, reply);
  else promise(turn, role.leader, reply);
}

function isMoreDurable({ writes }: RaftState, { verified, acknowledged }: FollowerRole): boolean {
  return minIndex(verified, writes.durableIndex) > acknowledged;
}

function accepted({ state, turn }: Omit<Following, "role">, round: number, match: LogIndex) {
  const outcome = { kind: "accepted", match } as const;
  return { kind: "AppendEntriesReply", term: state.term, round, outcome, ...standingOf(state, turn) } as const;
}

/** What the leader should know of this replica beside its log. */
function standingOf(state: RaftState, turn: Turn): Pick<AppendEntriesReply, "space" | "priority"> {
  const { space, settings } = state;
  const priority = mayStand(state, turn) ? settings.priority : 0;
  return { ...(space === "ample" ? {} : { space }), ...(priority === 1 ? {} : { priority }) };
}
