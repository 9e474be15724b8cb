/**
 * Beginning a view (section 4.4): NEW-VIEW follows from a quorum of VIEW-CHANGEs, and everyone computes it again.
 *
 * Owns: what is proposed again, and where null requests fill gaps; refusing a primary that omits, invents, or claims what is not proved
 * (hazards B3, B7 and B9). Leaves to others: collecting VIEW-CHANGEs (`view-change.ts`). Called by that file and by `step.ts`.
 */
import { after, type LogIndex, type View } from "../../model/ids.js";
import { isViewChange, isViewChangeQuorum } from "./certificate.js";
import { onStable } from "./checkpoint.js";
import {
  nullDigest,
  type CheckpointCertificate,
  type NewView,
  type PreparedCertificate,
  type Signed,
  type ViewChange,
} from "./messages.js";
import { backSlot, fetchBatch, prepareSlot, sayPrepare, wantedDigests } from "./normal-case.js";
import { isPrimary, primaryOf, type BftState } from "./state.js";
import { onEntered } from "./suspicion.js";
import { accuse, promise, record, type Turn } from "./turn.js";

export function viewChangesFor(state: BftState, view: View): readonly Signed<ViewChange>[] {
  return [...state.viewChanges.values()].filter(({ statement }) => statement.view === view);
}

/** The new primary begins its view, once: what it has chosen is durable before it is said. */
export function beginView(state: BftState, turn: Turn): void {
  if (!isPrimary(state) || state.ownNewView !== undefined) return;
  const viewChanges = viewChangesFor(state, state.view).slice(0, state.quorum);
  const { proposals } = beginningOf(viewChanges);
  const statement: NewView = { kind: "NewView", view: state.view, viewChanges, proposals };
  record(state, turn, { kind: "newView", statement });
  promise(turn, statement);
}

/** What must be proposed again: min-s, max-s and O of the paper, from the VIEW-CHANGEs alone. */
function beginningOf(viewChanges: readonly Signed<ViewChange>[]): {
  readonly stable: CheckpointCertificate | undefined;
  readonly proposals: NewView["proposals"];
} {
  let stable: CheckpointCertificate | undefined;
  const newest = new Map<LogIndex, PreparedCertificate>();
  let high = 0;
  for (const { statement } of viewChanges) {
    if (stable === undefined || statement.stable.index > stable.index) stable = statement.stable;
    for (const certificate of statement.prepared) {
      const known = newest.get(certificate.index);
      if (known === undefined || certificate.view > known.view) newest.set(certificate.index, certificate);
      high = Math.max(high, certificate.index);
    }
  }
  const proposals: { index: LogIndex; digest: string }[] = [];
  if (stable === undefined) return { stable, proposals };
  // No certificate reaches more than a window above the stable checkpoint of its sender, so this has a bound.
  for (let index = after(stable.index); index <= high; index = after(index)) {
    proposals.push({ index, digest: newest.get(index)?.digest ?? nullDigest });
  }
  return { stable, proposals };
}

export function onNewView(state: BftState, turn: Turn, newView: Signed<NewView>): void {
  const { statement, by } = newView;
  const { view } = statement;
  if (by !== primaryOf(state, view) || view < state.view) return;
  if (view === state.view && !state.isChanging) {
    if (state.newView !== undefined && !isSameBeginning(state.newView.statement, statement)) {
      accuse(state, turn, state.newView, newView);
    }
    return;
  }
  const stable = provedStable(state, statement);
  if (stable === undefined || contradictsDecided(state, statement)) return;
  const { epoch } = state;
  onStable(state, turn, stable);
  // It was the last of the epoch, and no view of it begins any more.
  if (state.epoch !== epoch) return;
  record(state, turn, { kind: "entered", newView });
  onEntered(state, turn.now);
  state.viewDeadline = undefined;
  for (const { index } of statement.proposals) {
    const slot = state.slots.get(index);
    if (slot?.accepted?.view !== view || index <= state.stable.index) continue;
    if (slot.isBacked) sayPrepare(state, turn, slot.accepted);
    else backSlot(state, turn, slot);
    prepareSlot(state, turn, slot);
  }
  for (const digest of wantedDigests(state)) fetchBatch(state, turn, digest);
}

/** The stable checkpoint that the view begins at, if its beginning is what its VIEW-CHANGEs give. */
function provedStable(state: BftState, newView: NewView): CheckpointCertificate | undefined {
  const { view, viewChanges } = newView;
  if (!isViewChangeQuorum(state, viewChanges)) return undefined;
  const areProved = viewChanges.every(({ statement }) => statement.view === view && isViewChange(state, statement));
  if (!areProved) return undefined;
  const { stable, proposals } = beginningOf(viewChanges);
  return isSameProposals(proposals, newView.proposals) ? stable : undefined;
}

function isSameProposals(one: NewView["proposals"], other: NewView["proposals"]): boolean {
  return (
    one.length === other.length &&
    one.every(({ index, digest }, at) => other[at]?.index === index && other[at].digest === digest)
  );
}

function isSameBeginning(one: NewView, other: NewView): boolean {
  return isSameProposals(one.proposals, other.proposals);
}

/** Only more than f liars can bring that about: a replica that knows better takes no part. */
function contradictsDecided({ slots }: BftState, { proposals }: NewView): boolean {
  return proposals.some(({ index, digest }) => {
    const committed = slots.get(index)?.committed;
    return committed !== undefined && committed.digest !== digest;
  });
}
