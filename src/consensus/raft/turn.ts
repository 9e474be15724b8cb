/**
 * One step in the making: what it will ask of the world, collected and then put in order.
 *
 * Owns: one write for a step whatever it changed, and where a promise travels (C1): inside that write, inside an empty write
 * behind those that are still pending, or at once if all that it rests on is durable already. Leaves to others: what to ask.
 * Every change of term, vote and log passes through here, so none can miss the disk. Called by all of `raft/`.
 */
import { invariant } from "../../base/invariant.js";
import type { Entry, EntryId } from "../../model/entry.js";
import { after, noIndex, type AgreedTime, type LogIndex, type ReplicaId, type Term } from "../../model/ids.js";
import type { Effect, Envelope, RoleView } from "../vocabulary.js";
import type { AppendEntries, RaftMessage } from "./messages.js";
import { adoptConfiguration, dropConfigurations, newestConfiguration } from "./configuration.js";
import { intakeOf } from "./space.js";
import { beginWrite, cutWrites, isSettled, isVoter, leaderOf, type RaftState } from "./state.js";

export type RaftEffect = Effect<RaftMessage>;

export interface Turn {
  readonly now: number;
  readonly commitBefore: LogIndex;
  hardState: boolean;
  resetTo: EntryId | undefined;
  truncateFrom: LogIndex | undefined;
  readonly appended: Entry[];
  readonly promises: Envelope<RaftMessage>[];
  /** Sends and loads. */
  readonly sends: RaftEffect[];
  /** Barriers passed and failed, instructions ended. */
  readonly answers: RaftEffect[];
  /** The last AppendEntries made in this step: followers that need the same one share it, so that it is encoded once. */
  shared: AppendEntries | undefined;
}

export function beginTurn(state: RaftState, now: number): Turn {
  return {
    now,
    commitBefore: state.commitIndex,
    hardState: false,
    resetTo: undefined,
    truncateFrom: undefined,
    appended: [],
    promises: [],
    sends: [],
    answers: [],
    shared: undefined,
  };
}

/** For what promises nothing that a crash could make us forget. */
export function send(turn: Turn, to: ReplicaId, message: RaftMessage): void {
  turn.sends.push({ kind: "send", to, message });
}

/** For a vote, a candidacy or an acknowledgement: leaves when everything decided up to the end of this step is durable. */
export function promise(turn: Turn, to: ReplicaId, message: RaftMessage): void {
  turn.promises.push({ to, message });
}

/** The only place where term and vote change. */
export function setHardState(
  state: RaftState,
  turn: Turn,
  next: { term: Term; votedFor: ReplicaId | undefined },
): void {
  invariant(next.term >= state.term, "R5 a term never goes back");
  if (next.term === state.term) invariant(state.votedFor === undefined, "R6 a vote is given once in a term");
  state.term = next.term;
  state.votedFor = next.votedFor;
  turn.hardState = true;
}

export function appendEntry(state: RaftState, turn: Turn, entry: Entry): void {
  invariant(entry.time >= state.log.lastTime, "R10 agreed time never goes back along a log");
  state.log.append(entry);
  if (entry.kind === "configuration") adoptConfiguration(state, entry);
  turn.appended.push(entry);
}

/** Entries that replace the dropped ones must be appended in the same step. */
export function truncateLog(state: RaftState, turn: Turn, from: LogIndex): void {
  invariant(from > state.commitIndex, "R8 what is committed is never replaced");
  invariant(turn.appended.length === 0, "a step drops entries before it appends some");
  state.log.truncateFrom(from);
  dropConfigurations(state, from);
  cutWrites(state.writes, from);
  turn.truncateFrom = from;
}

/** The checkpoint that replaces the log is durable already, so up to it nothing waits for a write. */
export function resetLog(
  state: RaftState,
  turn: Turn,
  last: { readonly id: EntryId; readonly time: AgreedTime },
): void {
  const { id, time } = last;
  invariant(id.index > state.commitIndex, "R16 a checkpoint never takes back what is decided");
  invariant(turn.appended.length === 0, "a step drops entries before it appends some");
  state.log.reset(id, time);
  cutWrites(state.writes, after(noIndex));
  state.writes.durableIndex = id.index;
  turn.resetTo = id;
}

export function endTurn(state: RaftState, turn: Turn): readonly RaftEffect[] {
  const effects: RaftEffect[] = [];
  finishWrite(state, turn, effects);
  for (const effect of turn.sends) effects.push(effect);
  if (state.commitIndex > turn.commitBefore) effects.push({ kind: "commit", upTo: state.commitIndex });
  for (const effect of turn.answers) effects.push(effect);
  const view = changedView(state);
  if (view !== undefined) {
    state.view = view;
    effects.push({ kind: "role", role: view });
  }
  const newest = newestConfiguration(state);
  if (newest !== state.told) {
    state.told = newest;
    effects.push({ kind: "members", membership: newest.membership });
  }
  return effects;
}

function finishWrite(state: RaftState, turn: Turn, effects: RaftEffect[]): void {
  const { hardState, resetTo, truncateFrom, appended, promises } = turn;
  const changes = hardState || resetTo !== undefined || truncateFrom !== undefined || appended.length > 0;
  const mustWait = promises.length > 0 && state.writes.pending.length > 0;
  if (!changes && !mustWait) {
    for (const { to, message } of promises) effects.push({ kind: "send", to, message });
    return;
  }
  const upTo = appended.length > 0 ? state.log.lastIndex : noIndex;
  const id = beginWrite(state.writes, { hardState, upTo, now: turn.now });
  const { term, votedFor } = state;
  const write = { id, hardState: hardState ? { term, votedFor } : undefined, resetTo, truncateFrom, entries: appended };
  effects.push({ kind: "persist", write, then: promises });
}

function changedView(state: RaftState): RoleView | undefined {
  const { role, view, term } = state;
  const leader = leaderOf(state);
  const shown = shownRole(state);
  const intake = role.kind === "leader" ? intakeOf(state, role) : "take";
  const isOpen = role.kind === "leader" && isSettled(state) && role.transfer === undefined && intake !== "hold";
  const settledAt = isOpen ? role.noopIndex : undefined;
  const isFull = intake === "refuse";
  const isSame = view.role === shown && view.term === term && view.leader === leader;
  if (isSame && view.settledAt === settledAt && (view.isFull ?? false) === isFull) return undefined;
  return { role: shown, term, leader, settledAt, ...(isFull ? { isFull } : {}) };
}

function shownRole(state: RaftState): RoleView["role"] {
  // A leader that is removed leads until the new members are committed.
  if (state.role.kind !== "leader" && !isVoter(state, state.self)) return "learner";
  switch (state.role.kind) {
    case "leader":
    case "follower":
      return state.role.kind;
    case "preCandidate":
    case "candidate":
      return "candidate";
  }
}
