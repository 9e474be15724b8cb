/**
 * The three phases for many indexes at once (section 4.2): PRE-PREPARE, PREPARE, COMMIT.
 *
 * Owns: when a proposal is accepted, when it is prepared and committed, and handing over what is decided without a gap. Leaves to
 * others: what a view begins with (`new-view.ts`), the water marks (`checkpoint.ts`). Called by `step.ts` and by those two.
 */
import { after, maxIndex, minIndex, type LogIndex } from "../../model/ids.js";
import { administrator } from "../../model/membership.js";
import { considerChange } from "./epoch.js";
import { isCommittedCertificate, isEqualOrder, quorumFor } from "./certificate.js";
import {
  nullBatch,
  type Batch,
  type BftMessage,
  type Commit,
  type CommittedCertificate,
  type Digest,
  type Ordered,
  type Prepare,
  type Signed,
  type Statement,
} from "./messages.js";
import {
  fitsEnding,
  floorOf,
  highMark,
  isInWindow,
  isPrimary,
  primaryOf,
  roomOf,
  roomToEnd,
  slotAt,
  type BftState,
  type Slot,
} from "./state.js";
import { onDecided, onRequest } from "./suspicion.js";
import { accuse, promise, record, sendToOthers, type Turn } from "./turn.js";

/** The primary gives the batches the next indexes. Beyond the room that it has, they are ignored. */
export function onPropose(state: BftState, turn: Turn, batches: readonly Batch[]): void {
  for (const batch of batches.slice(0, roomOf(state))) accept(state, turn, after(state.proposed), batch);
}

/** From the primary of this view, between the water marks, and the first for its index (section 4.2; hazards B1 and B10). */
export function onPrePrepare(state: BftState, turn: Turn, prepare: Signed<Prepare>, batch: Batch): void {
  const { view, index, digest } = prepare.statement;
  if (prepare.by !== primaryOf(state, view) || batch.digest !== digest) return;
  if (isInWindow(state, index) && view === state.view && !state.isChanging && prepare.by !== state.self) {
    const { accepted } = slotAt(state, index);
    if (accepted?.view === view) onBatch(state, turn, batch);
    else if (fitsEnding(state, index, digest)) accept(state, turn, index, batch);
  }
  onPrepare(state, turn, prepare);
}

/** Everybody waits for the end of an epoch as for a request: no client may. */
export function awaitEnd(state: BftState, turn: Turn): void {
  if (state.ending !== undefined)
    onRequest(state, turn, { client: administrator, id: `the end of epoch ${state.epoch}` });
}

/** The primary fills what is left of an epoch that ends, up to the null request at its last index. */
export function onFill(state: BftState, turn: Turn, isExecuted: boolean): void {
  for (let left = roomToEnd(state, isExecuted); left > 0; left -= 1)
    accept(state, turn, after(state.proposed), nullBatch);
}

function accept(state: BftState, turn: Turn, index: LogIndex, batch: Batch): void {
  const { view } = state;
  record(state, turn, { kind: "accepted", view, index, batch });
  sayPrepare(state, turn, { view, index, digest: batch.digest });
}

export function sayPrepare(state: BftState, turn: Turn, ordered: Ordered): void {
  const { view, index, digest } = ordered;
  promise(turn, { kind: "Prepare", view, index, digest }, isPrimary(state) ? state.batches.get(digest) : undefined);
}

export function onPrepare(state: BftState, turn: Turn, prepare: Signed<Prepare>): void {
  const slot = votedSlot(state, prepare.statement);
  if (slot === undefined || !noteVote(state, turn, slot.prepares, prepare)) return;
  confront(state, turn, slot, prepare);
  prepareSlot(state, turn, slot);
}

export function onCommit(state: BftState, turn: Turn, commit: Signed<Commit>): void {
  const slot = votedSlot(state, commit.statement);
  if (slot === undefined || !noteVote(state, turn, slot.commits, commit)) return;
  commitSlot(state, turn, slot, commit.statement);
}

/**
 * Enough of equal votes are here, so its signature need not be verified and it need not be received: what follows from a quorum has followed.
 * A vote for something else is looked at: it may be evidence.
 */
export function isSpareVote({ slots }: BftState, { statement }: Signed): boolean {
  if (statement.kind !== "Prepare" && statement.kind !== "Commit") return false;
  const { prepared, committed } = slots.get(statement.index) ?? {};
  if (statement.kind === "Prepare") return prepared !== undefined && isEqualOrder(prepared, statement);
  return committed !== undefined && isEqualOrder(committed, statement);
}

/** Votes are kept a window below the low mark for those who lag, within the epoch, and up to the high mark; nothing beyond (hazard B22). */
function votedSlot(state: BftState, { index }: Ordered): Slot | undefined {
  const known = maxIndex(minIndex(state.committed, state.stable.index), state.base.index);
  return index > maxIndex(known, floorOf(state)) && index <= highMark(state) ? slotAt(state, index) : undefined;
}

/** One vote a sender and index is kept: a sender can fill no more memory than that, and cannot vote twice (hazard B2). */
function noteVote<Vote extends Prepare | Commit>(
  state: BftState,
  turn: Turn,
  votes: Map<string, Signed<Vote>>,
  vote: Signed<Vote>,
): boolean {
  const known = votes.get(vote.by);
  if (known !== undefined && known.statement.view >= vote.statement.view) {
    const isSame = known.statement.view > vote.statement.view || isEqualOrder(known.statement, vote.statement);
    if (!isSame) accuse(state, turn, known as Signed<Statement>, vote as Signed<Statement>);
    return false;
  }
  votes.set(vote.by, vote);
  return true;
}

/** A backup was told something else by the primary: shown what this one was told, it can prove that (hazard B1). */
function confront(state: BftState, turn: Turn, { accepted, prepares }: Slot, { statement, by }: Signed<Prepare>): void {
  if (accepted?.view !== statement.view || accepted.digest === statement.digest || by === state.self) return;
  const told = prepares.get(primaryOf(state, statement.view));
  if (told === undefined || told.by === by || !isEqualOrder(told.statement, accepted)) return;
  turn.others.push({ kind: "send", to: by, message: { kind: "Said", signed: told } });
}

/** Prepared: a quorum says PREPARE for what was accepted here. Its proof is durable before COMMIT is said. */
export function prepareSlot(state: BftState, turn: Turn, slot: Slot): void {
  const { accepted, isBacked, prepared, index } = slot;
  if (state.isChanging || accepted?.view !== state.view || !isBacked || !isInWindow(state, index)) return;
  if (prepared?.view === state.view || !slot.prepares.has(state.self)) return;
  const prepares = quorumFor(state, slot.prepares, accepted);
  if (prepares === undefined) return;
  record(state, turn, { kind: "prepared", certificate: { ...accepted, prepares } });
  promise(turn, { kind: "Commit", ...accepted });
}

/** Committed: a quorum says COMMIT for the same, in whatever view. It can never be otherwise any more. */
function commitSlot(state: BftState, turn: Turn, slot: Slot, ordered: Ordered): void {
  if (slot.committed !== undefined) return;
  const commits = quorumFor(state, slot.commits, ordered);
  if (commits === undefined) return;
  const { view, index, digest } = ordered;
  decide(state, turn, slot, { view, index, digest, commits });
}

/** From one who is ahead: its proof is as good as the votes themselves. */
export function onCommitted(state: BftState, turn: Turn, message: BftMessage & { kind: "Committed" }): void {
  const { certificate, batch } = message;
  const slot = votedSlot(state, certificate);
  if (slot === undefined || certificate.digest !== batch.digest || !isCommittedCertificate(state, certificate)) return;
  if (slot.committed === undefined) decide(state, turn, slot, certificate);
  onBatch(state, turn, batch);
}

function decide(state: BftState, turn: Turn, slot: Slot, certificate: CommittedCertificate): void {
  slot.committed = certificate;
  if (!state.batches.has(certificate.digest)) fetchBatch(state, turn, certificate.digest);
}

/** Everything decided without a gap, whose batch is here: at the end of each step, whichever of the two came last. */
export function handOver(state: BftState, turn: Turn): void {
  for (;;) {
    const next = after(state.committed);
    const committed = state.slots.get(next)?.committed;
    const batch = committed === undefined ? undefined : state.batches.get(committed.digest);
    if (committed === undefined || batch === undefined) return;
    state.committed = next;
    considerChange(state, next, batch);
    onDecided(state, turn, committed, batch);
  }
}

export function fetchBatch(state: BftState, turn: Turn, digest: Digest): void {
  sendToOthers(state, turn, { kind: "FetchBatch", digest });
}

/** A batch that was agreed on before it came. What nobody waits for is not kept. */
export function onBatch(state: BftState, turn: Turn, batch: Batch): void {
  const { digest } = batch;
  if (state.batches.has(digest) || !isWanted(state, digest)) return;
  record(state, turn, { kind: "batch", batch });
  for (const slot of state.slots.values()) backSlot(state, turn, slot);
}

/** PREPARE is said for what this replica has, so that a prepared batch is surely at f + 1 correct replicas. */
export function backSlot(state: BftState, turn: Turn, slot: Slot): void {
  const { accepted, isBacked, index } = slot;
  if (accepted === undefined || isBacked || !state.batches.has(accepted.digest)) return;
  slot.isBacked = true;
  if (accepted.view === state.view && !state.isChanging && isInWindow(state, index)) sayPrepare(state, turn, accepted);
}

/**
 * Digests that this replica agreed on, or knows to be decided, without having the batch. One that began with a checkpoint has executed
 * what is not stable without having its batches: others may need its vote for them.
 */
export function wantedDigests(state: BftState): readonly Digest[] {
  const wanted = new Set<Digest>();
  const known = minIndex(state.committed, state.stable.index);
  for (let at = after(maxIndex(known, floorOf(state))); at <= highMark(state); at = after(at)) {
    const { accepted, committed } = state.slots.get(at) ?? {};
    for (const ordered of [accepted, at > state.committed ? committed : undefined]) {
      if (ordered !== undefined && !state.batches.has(ordered.digest)) wanted.add(ordered.digest);
    }
  }
  return [...wanted];
}

function isWanted(state: BftState, digest: Digest): boolean {
  return wantedDigests(state).includes(digest);
}
