/**
 * Leaving a view (section 4.4): VIEW-CHANGE, with a proof for everything that may have been decided.
 *
 * Owns: when to leave, joining f + 1 others, waiting for the next primary with growing patience (section 4.5.2). Leaves to others:
 * what the next view begins with (`new-view.ts`), repeating what was lost (`status.ts`). Called by `step.ts`.
 */
import { nextView, type ReplicaId, type View } from "../../model/ids.js";
import { isViewChange } from "./certificate.js";
import type { PreparedCertificate, Signed, ViewChange } from "./messages.js";
import { beginView, viewChangesFor } from "./new-view.js";
import { primaryOf, type BftState } from "./state.js";
import { isSuspected, judgePace, patienceOf, waitIfBehind } from "./suspicion.js";
import { promise, record, type Turn } from "./turn.js";

/** Gives a primary up that lets a client wait or has become slow, or a new one that does not begin its view in time. */
export function changeViewIfDue(state: BftState, turn: Turn): void {
  judgePace(state, turn.now);
  const { viewDeadline } = state;
  waitIfBehind(state, turn.now);
  const isDue = state.isChanging
    ? viewDeadline !== undefined && turn.now >= viewDeadline
    : isSuspected(state, turn.now);
  if (isDue) leaveFor(state, turn, nextView(state.view));
}

/** All correct replicas leave its view together, so nobody leaves it alone and waits for the others. */
export function onDistrust(state: BftState, turn: Turn, replicas: readonly ReplicaId[]): void {
  if (!state.isChanging && replicas.includes(primaryOf(state, state.view))) leaveFor(state, turn, nextView(state.view));
}

function leaveFor(state: BftState, turn: Turn, view: View): void {
  const statement: ViewChange = { kind: "ViewChange", view, stable: state.stable, prepared: preparedAbove(state) };
  state.attempts += 1;
  state.viewDeadline = undefined;
  record(state, turn, { kind: "viewChange", statement });
  promise(turn, statement);
}

/** The paper's P: of each index above the stable checkpoint the proof with the highest view; committed ones are among them. */
function preparedAbove({ slots, stable }: BftState): readonly PreparedCertificate[] {
  const certificates: PreparedCertificate[] = [];
  for (const { prepared } of slots.values()) {
    if (prepared !== undefined && prepared.index > stable.index) certificates.push(prepared);
  }
  return certificates.sort((one, other) => one.index - other.index);
}

/** One of each sender is kept, that with the highest view: old ones that are replayed change nothing (hazards B4 and B22). */
export function onViewChange(state: BftState, turn: Turn, viewChange: Signed<ViewChange>): void {
  const { by, statement } = viewChange;
  const known = state.viewChanges.get(by);
  if (known !== undefined && known.statement.view >= statement.view) return;
  if (!isViewChange(state, statement)) return;
  state.viewChanges.set(by, viewChange);
  joinOthers(state, turn);
  awaitNewView(state, turn);
}

/** At least one correct replica is among f + 1: the view cannot go on without those who left (section 4.5.2). */
function joinOthers(state: BftState, turn: Turn): void {
  const higher: View[] = [];
  for (const { statement } of state.viewChanges.values()) if (statement.view > state.view) higher.push(statement.view);
  if (higher.length <= state.faults) return;
  leaveFor(state, turn, Math.min(...higher) as View);
}

/**
 * Patience with the new primary begins when a quorum has left all earlier views. Those who have gone further count as well: otherwise
 * two correct replicas that wait for one view, while a third waits for the next and a liar is silent, would wait for ever.
 */
function awaitNewView(state: BftState, turn: Turn): void {
  if (!state.isChanging) return;
  let gone = 0;
  for (const { statement } of state.viewChanges.values()) if (statement.view >= state.view) gone += 1;
  if (gone < state.quorum) return;
  state.viewDeadline ??= turn.now + patienceOf(state);
  if (viewChangesFor(state, state.view).length >= state.quorum) beginView(state, turn);
}
