/**
 * What one replica knows, and how it begins again from what it wrote.
 *
 * Owns: the shape; `remember`, the only place where what must survive a crash changes, now and at recovery alike; who is primary.
 * Leaves to others: every transition. Called by `step.ts` and its helpers; whoever hosts the core keeps the value.
 */
import { invariant } from "../../base/invariant.js";
import {
  advance,
  firstView,
  maxIndex,
  minIndex,
  noIndex,
  type LogIndex,
  type ReplicaId,
  type View,
} from "../../model/ids.js";
import { byzantineQuorumOf, liarsMaxOf } from "../../model/membership.js";
import type {
  Batch,
  Checkpoint,
  CheckpointCertificate,
  Commit,
  CommittedCertificate,
  Digest,
  Ending,
  NewView,
  Ordered,
  Prepare,
  PreparedCertificate,
  Signed,
  ViewChange,
} from "./messages.js";
import { nullBatch } from "./messages.js";

/** Times in milliseconds. */
export interface BftSettings {
  /** Indexes above the stable checkpoint that may be under way: the paper's k (section 4.2). At least twice the interval. */
  readonly windowCount: number;
  /** A checkpoint is taken at each multiple of this index. */
  readonly checkpointInterval: number;
  readonly statusMs: number;
  /** A client's oldest request waits so long for its order before the primary is given up; doubled with each view that brings nothing. */
  readonly requestTimeoutMs: number;
  readonly requestTimeoutMsMax: number;
  /** Requests of one client whose waiting is watched. */
  readonly waitingCountMax: number;
}

export interface BftOptions {
  readonly self: ReplicaId;
  /**
   * Of the epoch in which this replica's log begins, the same at all; their order says who is primary. A replica that joins waits to be told
   * that it is one of their successors.
   */
  readonly replicas: readonly ReplicaId[];
  /** It is none of them: under its id another one may be. */
  readonly joins?: boolean | undefined;
  /** Theirs; what is missing is "". */
  readonly keys?: ReadonlyMap<ReplicaId, string> | undefined;
  readonly settings: BftSettings;
  /** Everything written before, in its order. */
  readonly records: readonly BftRecord[];
  /** The state here is that after this index, durably. */
  readonly executed: LogIndex;
  /** The last change of members in that state. */
  readonly configured?: Ending | undefined;
}

/** What a replica must remember through a crash: what it has promised, and what proves it to others. */
export type BftRecord =
  /** It says PREPARE for this in this view and for nothing else. */
  | { readonly kind: "accepted"; readonly view: View; readonly index: LogIndex; readonly batch: Batch }
  /** Of a digest that was agreed on before the batch came. */
  | { readonly kind: "batch"; readonly batch: Batch }
  | { readonly kind: "prepared"; readonly certificate: PreparedCertificate }
  /** It takes no part in earlier views any more. */
  | { readonly kind: "viewChange"; readonly statement: ViewChange }
  /** As primary it begins its view with this and with nothing else. */
  | { readonly kind: "newView"; readonly statement: NewView }
  /** It takes part in this view, and accepts what its beginning proposes. */
  | { readonly kind: "entered"; readonly newView: Signed<NewView> }
  | { readonly kind: "stable"; readonly certificate: CheckpointCertificate }
  /** `epoch` begins: the one before has ended with this. */
  | { readonly kind: "epoch"; readonly epoch: number; readonly certificate: CheckpointCertificate };

/** The beginning of an epoch, as whoever was in the one before can verify it. */
export type Handover = Omit<BftRecord & { readonly kind: "epoch" }, "kind">;

/** What is known of one index. */
export interface Slot {
  readonly index: LogIndex;
  /** In the newest view in which this replica accepted something here. */
  accepted: Ordered | undefined;
  /** PREPARE for `accepted` was said, for the batch is here. */
  isBacked: boolean;
  /** One a sender: that of the newest view, the first that came. */
  readonly prepares: Map<ReplicaId, Signed<Prepare>>;
  readonly commits: Map<ReplicaId, Signed<Commit>>;
  prepared: PreparedCertificate | undefined;
  committed: CommittedCertificate | undefined;
  /** What was handed over here changes the members, or is the last of its epoch: a checkpoint is taken there. */
  turning: "change" | "last" | undefined;
}

/** A client's request that is not decided. */
export interface Waiting {
  readonly cameAt: number;
  /** It is its client's oldest since then, or came then. */
  since: number;
}

/** How clients were served for a while. */
export interface Pace {
  /** Requests decided in a millisecond. */
  readonly perMs: number;
  /** Each had waited so long, on average. */
  readonly waitedMs: number;
}

export interface BftState {
  readonly self: ReplicaId;
  readonly settings: BftSettings;
  /** Counts the sets of members; -1 at a replica that joins and was told of none yet. */
  epoch: number;
  /** Of this epoch. A replica that is none of them is quiet. */
  replicas: readonly ReplicaId[];
  keys: ReadonlyMap<ReplicaId, string>;
  /** As many may lie: the largest whole number below a third. */
  faults: number;
  /** Any two quorums share a correct replica, and the correct ones alone are one. */
  quorum: number;
  /** The checkpoint at which this epoch begins. */
  base: CheckpointCertificate;
  /** As soon as it is known here how this epoch ends. */
  ending: Ending | undefined;
  /** How each epoch began that is known here, the oldest first. */
  readonly handovers: Handover[];

  /** Of this epoch: each begins in the first one. */
  view: View;
  /** It has left the views before `view`, and `view` has not begun here. */
  isChanging: boolean;
  /** The low water mark. */
  stable: CheckpointCertificate;
  /** Everything up to here is decided, and was handed over. */
  committed: LogIndex;
  /** The highest index that this view's primary has used, as far as this replica is that primary. */
  proposed: LogIndex;
  readonly slots: Map<LogIndex, Slot>;
  readonly batches: Map<Digest, Batch>;
  /** The newest of each sender, a window's worth. */
  readonly checkpoints: Map<ReplicaId, Map<LogIndex, Signed<Checkpoint>>>;
  /** The one with the highest view of each sender. */
  readonly viewChanges: Map<ReplicaId, Signed<ViewChange>>;
  /** How `view` began; undefined in the first one, and while it has not. */
  newView: Signed<NewView> | undefined;
  ownViewChange: ViewChange | undefined;
  ownNewView: NewView | undefined;

  /** By client, the oldest first. */
  readonly waiting: Map<string, Map<Digest, Waiting>>;
  /** By who has told of them, the oldest first: requests that were not decided since, and when they were told. */
  readonly came: Map<ReplicaId, Map<Digest, number>>;
  /** Since this time `decided` requests that waited here were decided, after having waited `waitedMs` in all. */
  pace: { readonly since: number; decided: number; waitedMs: number };
  /** Stretches of this view that were too slow, less those that were not. */
  slowness: number;
  /** The best stretch of this view, first, and of each of the views before it, one for each replica. */
  bestPaces: readonly (Pace | undefined)[];
  /** When this view was entered. */
  enteredAt: number;
  /** Views in a row that were asked for without anything being decided in between. */
  attempts: number;
  /** While a quorum asks for `view`: when the next one is asked for. */
  viewDeadline: number | undefined;
  statusDueAt: number;
  /** What was told again last to who was behind, and when it may be once more. */
  readonly repeated: Map<ReplicaId, { readonly signed: Signed; readonly pauseMs: number; readonly dueAt: number }>;
  /** What others told of themselves last. */
  readonly heard: Map<ReplicaId, LogIndex>;
  committedAtStatus: LogIndex;
  /** What was promised before a restart was not said again yet. */
  mustRepeat: boolean;
  nextWriteId: number;
  told: BftRole | undefined;
  /** Who said what contradicts itself: told once for each kind. */
  readonly accused: Set<string>;
}

/** What the service side knows of the primary. `isChanging`: its view has not begun here. `isOpen`: this replica is it, and takes proposals. */
export interface BftRole {
  readonly epoch: number;
  readonly view: View;
  readonly primary: ReplicaId;
  readonly isChanging: boolean;
  readonly isOpen: boolean;
}

export function createBftState(options: BftOptions, now: number): BftState {
  const {
    self,
    replicas,
    keys = new Map<ReplicaId, string>(),
    settings,
    records,
    executed,
    configured,
    joins,
  } = options;
  const beginning = { index: noIndex, digest: "", checkpoints: [] };
  invariant(settings.windowCount >= 2 * settings.checkpointInterval, "a window holds two checkpoint intervals");
  const state: BftState = {
    ...{ self, replicas, keys, settings },
    epoch: joins === true || !replicas.includes(self) ? -1 : 0,
    faults: liarsMaxOf(replicas.length),
    quorum: byzantineQuorumOf(replicas.length),
    base: beginning,
    ending: undefined,
    handovers: [],
    view: firstView,
    isChanging: false,
    stable: beginning,
    committed: executed,
    proposed: noIndex,
    slots: new Map(),
    batches: new Map([[nullBatch.digest, nullBatch]]),
    checkpoints: new Map(),
    viewChanges: new Map(),
    newView: undefined,
    ownViewChange: undefined,
    ownNewView: undefined,
    waiting: new Map(),
    came: new Map(),
    pace: { since: now, decided: 0, waitedMs: 0 },
    slowness: 0,
    bestPaces: [],
    enteredAt: now,
    attempts: 0,
    viewDeadline: undefined,
    statusDueAt: now,
    repeated: new Map(),
    heard: new Map(),
    committedAtStatus: executed,
    mustRepeat: records.length > 0,
    nextWriteId: 1,
    told: undefined,
    accused: new Set(),
  };
  for (const record of records) remember(state, record);
  learnEnding(state, configured);
  return state;
}

/** Of the state here. A change that this epoch has begun with is none of it. */
export function learnEnding(state: BftState, configured: Ending | undefined): void {
  if (configured !== undefined && configured.at > state.base.index) state.ending ??= configured;
}

/**
 * An epoch whose successor is decided at an index ends at the first checkpoint a whole window further on. Who says anything about that
 * index has a stable checkpoint at or above `index`, which says how the epoch ends: so nobody correct ever votes beyond.
 */
function lastIndexOf({ windowCount, checkpointInterval }: BftSettings, { at }: Ending): LogIndex {
  return advance(noIndex, Math.ceil((at + windowCount) / checkpointInterval) * checkpointInterval);
}

/** The last index of this epoch, as soon as it is known here. */
export function lastOf({ settings, ending }: Pick<BftState, "settings" | "ending">): LogIndex | undefined {
  return ending && lastIndexOf(settings, ending);
}

/** It is the last of its epoch. */
export function isLast(
  { settings }: BftState,
  { index, ending }: Pick<CheckpointCertificate, "index" | "ending">,
): boolean {
  return ending !== undefined && index === lastIndexOf(settings, ending);
}

/** The only place where durable facts change. */
export function remember(state: BftState, record: BftRecord): void {
  switch (record.kind) {
    case "accepted": {
      const { view, index, batch } = record;
      invariant(view >= state.view, "BF1 nothing is promised in a view that was left");
      invariant(fitsEnding(state, index, batch.digest), "BF11 an epoch ends with the null request, and nothing beyond");
      keepBatch(state, batch);
      acceptAt(state, { view, index, digest: batch.digest });
      state.proposed = maxIndex(state.proposed, index);
      return;
    }
    case "batch":
      return keepBatch(state, record.batch);
    case "prepared":
      slotAt(state, record.certificate.index).prepared = record.certificate;
      return;
    case "viewChange":
      invariant(record.statement.view > state.view, "BF2 a view never goes back");
      state.view = record.statement.view;
      state.isChanging = true;
      state.newView = undefined;
      state.ownNewView = undefined;
      state.ownViewChange = record.statement;
      return;
    case "newView":
      state.ownNewView = record.statement;
      return;
    case "entered":
      return enter(state, record.newView);
    case "stable":
      return adopt(state, record.certificate);
    case "epoch":
      return beginEpoch(state, record);
  }
}

/** Whether `digest` may be accepted there, whoever proposes it: the null request alone where a checkpoint must be taken. */
export function fitsEnding(state: BftState, index: LogIndex, digest: Digest): boolean {
  const last = lastOf(state) ?? Infinity;
  return index < last || (index === last && digest === nullBatch.digest);
}

/** Nothing that was said before binds anybody, or proves anything, in the next epoch but the checkpoint that it begins at. */
function beginEpoch(state: BftState, { epoch, certificate }: Handover): void {
  const { index, digest, ending } = certificate;
  invariant(epoch > state.epoch, "BF10 an epoch never goes back");
  const isItsEnd = ending !== undefined && isLast(state, certificate);
  invariant(isItsEnd, "BF12 an epoch begins at the checkpoint with which the one before ends");
  const { members } = ending.successor;
  const replicas = members.map(({ id }) => id).sort();
  state.handovers.push({ epoch, certificate });
  Object.assign(state, {
    ...{ epoch, replicas, keys: new Map(members.map(({ id, key }) => [id, key])) },
    ...{ faults: liarsMaxOf(replicas.length), quorum: byzantineQuorumOf(replicas.length) },
    ...{ base: { index, digest, checkpoints: [] }, ending: undefined },
    ...{ view: firstView, isChanging: false, proposed: index, newView: undefined },
    ...{ ownViewChange: undefined, ownNewView: undefined, attempts: 0, viewDeadline: undefined },
  } satisfies Partial<BftState>);
  state.viewChanges.clear();
  state.checkpoints.clear();
  state.heard.clear();
  state.repeated.clear();
  state.accused.clear();
  if (index > state.stable.index) adopt(state, { index, digest, checkpoints: [] });
  for (const slot of state.slots.values()) {
    if (slot.index > state.committed || slot.index > index) state.slots.delete(slot.index);
    else endSlot(slot);
  }
  dropBatches(state);
}

/** It is decided, and has yet to be executed here: its votes are good for nobody any more. */
function endSlot(slot: Slot): void {
  slot.accepted = undefined;
  slot.isBacked = false;
  slot.prepared = undefined;
  slot.prepares.clear();
  slot.commits.clear();
}

function enter(state: BftState, newView: Signed<NewView>): void {
  const { view, proposals } = newView.statement;
  invariant(view > state.view || (view === state.view && state.isChanging), "BF2 a view never goes back");
  state.view = view;
  state.isChanging = false;
  state.newView = newView;
  state.ownNewView = undefined;
  state.proposed = state.stable.index;
  for (const { index, digest } of proposals) {
    if (index > state.stable.index) acceptAt(state, { view, index, digest });
    state.proposed = maxIndex(state.proposed, index);
  }
}

function acceptAt(state: BftState, { view, index, digest }: Ordered): void {
  const slot = slotAt(state, index);
  const before = slot.accepted;
  const isSame = before === undefined || before.view < view || before.digest === digest;
  invariant(isSame, "BF3 one digest is accepted at a view and an index");
  slot.accepted = { view, index, digest };
  slot.isBacked = state.batches.has(digest);
}

/** Low and high water marks move; one window below stays, for those who lag a little. */
function adopt(state: BftState, certificate: CheckpointCertificate): void {
  invariant(certificate.index > state.stable.index, "BF4 a stable checkpoint never goes back");
  state.stable = certificate;
  state.ending ??= certificate.ending;
  state.proposed = maxIndex(state.proposed, certificate.index);
  const floor = floorOf(state);
  for (const index of state.slots.keys()) if (index <= floor) state.slots.delete(index);
  for (const votes of state.checkpoints.values()) {
    for (const index of votes.keys()) if (index <= certificate.index) votes.delete(index);
  }
  dropBatches(state);
}

function keepBatch(state: BftState, batch: Batch): void {
  state.batches.set(batch.digest, batch);
}

/** Those that no slot speaks of any more. */
function dropBatches(state: BftState): void {
  const kept = new Set<Digest>([nullBatch.digest]);
  for (const { accepted, prepared, committed } of state.slots.values()) {
    for (const ordered of [accepted, prepared, committed]) if (ordered !== undefined) kept.add(ordered.digest);
  }
  for (const digest of state.batches.keys()) if (!kept.has(digest)) state.batches.delete(digest);
}

export function slotAt(state: BftState, index: LogIndex): Slot {
  let slot = state.slots.get(index);
  if (slot === undefined) {
    slot = {
      index,
      accepted: undefined,
      isBacked: false,
      prepares: new Map(),
      commits: new Map(),
      prepared: undefined,
      committed: undefined,
      turning: undefined,
    };
    state.slots.set(index, slot);
  }
  return slot;
}

export function primaryOf(state: BftState, view: View): ReplicaId {
  const primary = state.replicas[view % state.replicas.length];
  invariant(primary !== undefined, "there is a replica for every view");
  return primary;
}

export function isPrimary(state: BftState): boolean {
  return primaryOf(state, state.view) === state.self;
}

/** Of this epoch: it may vote. */
export function isMember({ self, replicas, epoch }: BftState): boolean {
  return epoch >= 0 && replicas.includes(self);
}

/** The high water mark; an epoch's last index at most. */
export function highMark(state: BftState): LogIndex {
  const high = advance(state.stable.index, state.settings.windowCount);
  return minIndex(high, lastOf(state) ?? high);
}

/** Everything above is still spoken of: a window below the low mark, for those who lag, or what is not decided here within it. */
export function floorOf({ stable, settings }: BftState): LogIndex {
  return advance(stable.index, -Math.min(settings.windowCount, stable.index));
}

/** Between the water marks: what may be promised (section 4.2; hazard B10). */
export function isInWindow(state: BftState, index: LogIndex): boolean {
  return index > state.stable.index && index <= highMark(state);
}

/** A quarter of the window, or so many entries if that is less. */
const reservedPart = 4;
const reservedMax = 32;

/**
 * The end of the window is for reports. If no replica can finish a command, no checkpoint is taken behind it until they have said so, and until
 * then the window does not move.
 */
export function reservedOf({ windowCount }: Pick<BftSettings, "windowCount">): number {
  return Math.min(reservedMax, Math.floor(windowCount / reservedPart));
}

/**
 * Under way at a time: what clients ask waits behind them, and a view change in between tells of each that is prepared. When half of them are
 * decided as many come at once, since many in one turn cost little more than one.
 */
const fillsMax = 64;

/**
 * How many null requests may be proposed now to fill what is left of an epoch that ends. `isExecuted`: all that was proposed; before, room is left for reports.
 */
export function roomToEnd(state: BftState, isExecuted: boolean): number {
  if (state.ending === undefined || state.isChanging || !isPrimary(state)) return 0;
  const left = highMark(state) - (isExecuted ? 0 : reservedOf(state.settings)) - state.proposed;
  const underWay = state.proposed - state.committed;
  return underWay > fillsMax / 2 ? 0 : Math.max(0, Math.min(left, fillsMax - underWay));
}

/** How many batches may be proposed now; the last of an epoch is the null request (`roomToEnd`). */
export function roomOf(state: BftState): number {
  const high = highMark(state);
  const reserved = high === lastOf(state) ? 1 : 0;
  return isPrimary(state) && !state.isChanging ? Math.max(0, high - reserved - state.proposed) : 0;
}

/** What is decided at an index that was committed and is not long stable. */
export function batchAt({ slots, batches }: BftState, index: LogIndex): Batch | undefined {
  const digest = slots.get(index)?.committed?.digest;
  return digest === undefined ? undefined : batches.get(digest);
}
