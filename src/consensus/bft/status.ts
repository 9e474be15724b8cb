/**
 * Repeating what was lost (TOCS section 5.2): replicas say now and then where they stand, and are sent what they lack.
 *
 * Owns: that no lost message leaves a replica, or a view change, stuck for ever (hazard B15), and what is said again after a restart.
 * A status is trusted in nothing: it only makes the receiver repeat what it has said or can prove, a bounded number of messages.
 */
import { after, maxIndex, minIndex, type LogIndex, type ReplicaId } from "../../model/ids.js";
import { fetchIfBehind, unstableCheckpoints } from "./checkpoint.js";
import type { BftMessage, Signed } from "./messages.js";
import { backSlot, fetchBatch, wantedDigests } from "./normal-case.js";
import { highMark, isInWindow, primaryOf, type BftState, type Slot } from "./state.js";
import { sendToOthers, type Say, type Turn } from "./turn.js";

type Status = Extract<BftMessage, { readonly kind: "Status" }>;

/** Indexes for which one status is answered. */
const repeatedCountMax = 16;
/** So many times the interval of statuses passes at most until the beginning of a view is told again. */
const pausesMax = 16;

export function sayStatusIfDue(state: BftState, turn: Turn): void {
  if (turn.now < state.statusDueAt) return;
  state.statusDueAt = turn.now + state.settings.statusMs;
  if (state.mustRepeat) repeatPromises(state, turn);
  state.mustRepeat = false;
  const { view, isChanging, committed } = state;
  sendToOthers(state, turn, { kind: "Status", view, isChanging, stable: state.stable.index, committed });
  // The same batch at two indexes may have come with one of them.
  for (const slot of state.slots.values()) backSlot(state, turn, slot);
  for (const digest of wantedDigests(state)) fetchBatch(state, turn, digest);
  fetchIfBehind(state, turn);
}

/** After a restart: the same statements as before, from what was written, so that they are signed and counted again. */
function repeatPromises(state: BftState, turn: Turn): void {
  const { epoch } = state;
  const say = (what: Omit<Say, "epoch">): void => void turn.others.push({ kind: "say", say: { epoch, ...what } });
  if (state.isChanging) {
    if (state.ownViewChange !== undefined) say({ statement: state.ownViewChange });
    if (state.ownNewView !== undefined) say({ statement: state.ownNewView });
    return;
  }
  for (const { accepted, isBacked, prepared, index } of state.slots.values()) {
    if (!isInWindow(state, index) || accepted?.view !== state.view || !isBacked) continue;
    const isOurs = primaryOf(state, state.view) === state.self;
    say({
      statement: { kind: "Prepare", ...accepted },
      batch: isOurs ? state.batches.get(accepted.digest) : undefined,
    });
    if (prepared?.view !== state.view) continue;
    const { view, digest } = prepared;
    say({ statement: { kind: "Commit", view, index, digest } });
  }
}

export function onStatus(state: BftState, turn: Turn, from: ReplicaId, status: Status): void {
  const reply = (message: BftMessage): void => void turn.others.push({ kind: "send", to: from, message });
  const before = state.heard.get(from);
  state.heard.set(from, status.committed);
  const { stable, base } = state;
  if (status.stable < stable.index && stable.index > base.index) reply({ kind: "Stable", certificate: stable });
  else for (const signed of unstableCheckpoints(state)) reply({ kind: "Said", signed });
  repeatView(state, turn, from, status);
  // Whoever has moved on since its last status lacks nothing that is not on its way.
  if (before !== status.committed) return;
  // What was decided in earlier epochs is proved by the checkpoint at which this one begins.
  const known = maxIndex(status.committed, base.index);
  const highest = minIndex(highMark(state), (known + repeatedCountMax) as LogIndex);
  for (let index = after(known); index <= highest; index = after(index)) {
    const slot = state.slots.get(index);
    if (slot !== undefined) repeatSlot(state, slot, reply);
  }
}

/**
 * What leads to this view, or began it, is long: after each time that one who is behind was told of it, it must be behind for twice as long until it
 * is told again. Otherwise a replica that has left its view alone would be heard, and verified, by all others without end.
 */
function repeatView(state: BftState, turn: Turn, from: ReplicaId, status: Status): void {
  const isBehind = status.view < state.view || (status.view === state.view && status.isChanging);
  if (!isBehind) return;
  const signed: Signed | undefined = state.isChanging ? state.viewChanges.get(state.self) : state.newView;
  if (signed === undefined) return;
  const { statusMs } = state.settings;
  const before = state.repeated.get(from);
  const isSame = before?.signed === signed;
  if (isSame && turn.now < before.dueAt) return;
  const pauseMs = isSame ? Math.min(2 * before.pauseMs, pausesMax * statusMs) : statusMs / 2;
  state.repeated.set(from, { signed, pauseMs, dueAt: turn.now + pauseMs });
  turn.others.push({ kind: "send", to: from, message: { kind: "Said", signed } });
}

/** The proof that it is decided, or else the own votes. */
function repeatSlot(state: BftState, slot: Slot, reply: (message: BftMessage) => void): void {
  const { committed, prepares, commits } = slot;
  const decided = committed === undefined ? undefined : state.batches.get(committed.digest);
  if (committed !== undefined && decided !== undefined) {
    reply({ kind: "Committed", certificate: committed, batch: decided });
    return;
  }
  const prepare = prepares.get(state.self);
  if (prepare !== undefined) {
    const { view, digest } = prepare.statement;
    const batch = primaryOf(state, view) === state.self ? state.batches.get(digest) : undefined;
    reply(batch === undefined ? { kind: "Said", signed: prepare } : { kind: "PrePrepare", prepare, batch });
  }
  const commit = commits.get(state.self);
  if (commit !== undefined) reply({ kind: "Said", signed: commit });
}
