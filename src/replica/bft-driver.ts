/**
 * Runs the PBFT core over its log and the links to the others.
 *
 * Owns: performing effects in their order, signing what is said once it is durable (C1), and what of a proposal's time is taken. Leaves to
 * others: every decision (`consensus/bft/`), signatures (`authentication/`), records on disk (`bft-journal.ts`), what is decided as entries
 * (`bft-decided.ts`), marks and reports on their way (`bft-marks.ts`, `bft-reports.ts`), members (`bft-members.ts`). Called by `engine.ts` in
 * turns. The reason for its length: everything that is an input of the core, or an effect of it, passes here, and the next proposal is chosen
 * from all of it.
 */
import { invariant, unreachable } from "../base/invariant.js";
import { bytesOfHex, hexOf } from "../base/bytes.js";
import type {
  Batch,
  BftMessage,
  CheckpointCertificate,
  Digest,
  Ending,
  RequestName,
  Signed,
} from "../consensus/bft/messages.js";
import { recordsOf } from "../consensus/bft/compaction.js";
import { isSpareVote } from "../consensus/bft/normal-case.js";
import {
  createBftState,
  reservedOf,
  roomOf,
  roomToEnd,
  type BftRecord,
  type BftRole,
  type BftSettings,
  type BftState,
} from "../consensus/bft/state.js";
import { step, type BftInput } from "../consensus/bft/step.js";
import type { BftEffect, Evidence, Say } from "../consensus/bft/turn.js";
import type { EntryKind, Proposal } from "../model/entry.js";
import { maxIndex, noIndex, noTerm, type AgreedTime, type LogIndex, type ReplicaId } from "../model/ids.js";
import type { Promised } from "../model/log.js";
import type { Configuration } from "../model/membership.js";
import type { InstructionOutcome } from "../model/instruction.js";
import type { Hash } from "../ports/hash.js";
import type { LogStore, RecoveredLog } from "../storage/log-store.js";
import type { Standing } from "../transport/gate.js";
import { decodeBftMessage, encodeInEpoch, splitEpoch, type BftLimits } from "../wire/bft-codec.js";
import { keyNameOf } from "../wire/key-name.js";
import { successorOf } from "../wire/successor-codec.js";
import { addBundles, batchOf, decodeBundle, encodeBundles } from "../wire/signed-batch.js";
import { BftDecided } from "./bft-decided.js";
import { BftJournal } from "./bft-journal.js";
import { decodeNotice, encodeNotice } from "../wire/bft-notice.js";
import { BftMembers } from "./bft-members.js";
import { BftMarks } from "./bft-marks.js";
import { BftReports } from "./bft-reports.js";
import { healthy, type ToEngine } from "./channel.js";
import { peerMessageTypes, type Driver, type DriverWorld, type FollowerFigures, type ToDriver } from "./engine.js";
import { ProposalTime } from "./proposal-time.js";
import type { ReplicaSeal } from "./replica-seal.js";

export interface BftDriverParts {
  readonly self: ReplicaId;
  /** At the founding; sorted by id, they take turns as primaries. None at a replica that joins. */
  readonly members: Configuration;
  /** Whom a replica that joins knows. */
  readonly seeds: readonly ReplicaId[];
  /** The last change of members in the state that the host has loaded. */
  readonly configuration: Configuration;
  readonly log: LogStore;
  readonly recovered: RecoveredLog;
  /** See `BftJournalParts`. */
  readonly writtenBytesMin: number;
  /** Found in the log (`readJournal`). */
  readonly records: readonly BftRecord[];
  /** The checkpoint that the host has loaded. */
  readonly loaded: { readonly index: LogIndex; readonly time: AgreedTime } | undefined;
  readonly settings: BftSettings;
  readonly limits: BftLimits;
  /** See `ProposalTime`. */
  readonly clockBoundMs: number;
  readonly overdueMs: number;
  readonly seal: ReplicaSeal;
  readonly hash: Hash;
  readonly seed: number;
  /** A replica has signed what no correct one does. */
  readonly evidence: (evidence: Evidence) => void;
}

type Persist = Extract<BftEffect, { readonly kind: "persist" }>;
const noPayload = new Uint8Array(0);
/** Whoever sends more has so many watched already: if they are not decided, the primary is given up for them. */
const marksWatchedMax = 1_024;
/** A request that does nothing, signed: no mark is longer. */
const markBytesMax = 1_024;
/** So many marks do not wait for company: somebody makes more than there are readers. */
const marksGatheredMax = 16;
const { bft, mark, report, waiting, change } = peerMessageTypes;
const ownTypes: readonly number[] = [bft, mark, report, waiting, change];

export class BftDriver implements Driver {
  readonly #parts: BftDriverParts;
  readonly #world: DriverWorld;
  readonly #state: BftState;
  readonly #journal: BftJournal;
  readonly #time: ProposalTime;
  readonly #marks: BftMarks;
  readonly #reports: BftReports;
  readonly #members: BftMembers;
  readonly decided: BftDecided;
  readonly believesPeers = false;
  readonly followers: ReadonlyMap<ReplicaId, FollowerFigures> = new Map();
  readonly isWhole = true;
  /** What waits for its step: one is never taken within another. */
  readonly #inputs: BftInput[] = [];
  #isStepping = false;
  /** Waits for room in the window. */
  #proposals: Batch[] = [];
  #entriesProposed = 0;
  /** Marks of this and other replicas, for the next batch. */
  #marksAsked: Uint8Array[] = [];
  #isInTick = false;
  /** Overdue, of this and other replicas, in this view. */
  readonly #marksWatched = new Map<Digest, RequestName>();
  /** Names of those that are not decided yet, in this view. */
  readonly #marksOrdered = new Set<Digest>();
  #role: BftRole | undefined;
  /** What its view began with, and all before, was proposed by others: a primary executes it before it proposes. */
  #settledAt: LogIndex | undefined;
  #full: string | undefined;
  /** Instructions that end when the next checkpoint entry is decided. */
  #checkpointsAsked: number[] = [];
  #fetching: LogIndex = noIndex;

  constructor(parts: BftDriverParts, world: DriverWorld) {
    this.#parts = parts;
    this.#world = world;
    const { self, members, seeds, settings, records, loaded, clockBoundMs, seal } = parts;
    const founders = members.membership.members.map(({ id }) => id);
    const joins = founders.length === 0;
    const replicas = (joins ? [...seeds, ...(seal.takesPlace ? [self] : [])] : founders).toSorted();
    const keys = new Map([...seal.keys].map(([id, key]) => [id, keyNameOf(key)]));
    const executed = loaded?.index ?? noIndex;
    const configured = endingIn(parts.configuration);
    const options = { self, replicas, joins, keys, settings, records, executed, configured };
    this.#state = createBftState(options, world.clock.monotonic());
    this.#members = this.#createMembers();
    this.#journal = new BftJournal(parts);
    this.#time = new ProposalTime(clockBoundMs, loaded?.time ?? 0);
    for (const { proposal } of this.#state.batches.values()) this.#time.observe(proposal.time);
    this.#marks = this.#createMarks();
    this.#reports = this.#createReports();
    this.decided = new BftDecided({ ...parts, state: this.#state });
  }

  /** For looking: only `step` changes it. */
  get state(): BftState {
    return this.#state;
  }

  get lastIndex(): LogIndex {
    return maxIndex(this.#state.committed, this.#state.proposed);
  }

  get isLeading(): boolean {
    return this.#role?.isOpen === true;
  }

  get entriesProposed(): number {
    return this.#entriesProposed;
  }

  get standing(): Standing {
    const { index, term, membership } = this.#members.configuration;
    return { membership, configuration: { index, term }, promisedBy: () => undefined };
  }

  promisedBy(): Promised | undefined {
    return undefined;
  }

  tick(): void {
    const now = this.#world.clock.monotonic();
    this.#members.tick();
    this.#isInTick = true;
    this.#turn({ kind: "tick" });
    this.#isInTick = false;
    this.#marks.tick(now);
    this.#fetchIfGone();
    this.#lookForSpace();
  }

  connected(): void {
    // Status messages tell what was missed.
  }

  disconnected(): void {
    // A primary is given up by its requests, not by its links.
  }

  receive(peer: ReplicaId, type: number, payload: Uint8Array): boolean {
    const { seal, limits, hash } = this.#parts;
    if (!ownTypes.includes(type)) return false;
    if (!seal.isOpenTo(peer)) return true;
    // What is kept of it is a view. Not `slice`, which copies nothing of a Buffer.
    const bytes = new Uint8Array(payload);
    if (type === peerMessageTypes.report) {
      this.#reports.hear(peer, bytes);
      return true;
    }
    if (type === peerMessageTypes.waiting) {
      const ids = decodeNotice(bytes);
      if (ids === undefined) seal.malformed(peer);
      else this.#turn({ kind: "came", from: peer, ids });
      return true;
    }
    if (type === peerMessageTypes.mark) {
      const mark = bytes.length > markBytesMax ? undefined : decodeBundle(bytes, limits, hash);
      if (mark?.requests.length !== 1) seal.malformed(peer);
      else {
        seal.checkBundle(mark, peer, () => {
          if (!this.#world.isStopped()) this.#onMark(mark.name, bytes);
        });
      }
      return true;
    }
    if (type === peerMessageTypes.change) this.#members.hear(bytes, peer, () => this.#onChange());
    else this.#receiveMessage(peer, bytes);
    return true;
  }

  #receiveMessage(peer: ReplicaId, bytes: Uint8Array): void {
    const { seal, hash } = this.#parts;
    const split = splitEpoch(bytes);
    const { epoch } = this.#state;
    if (split !== undefined && split.epoch !== epoch) {
      return this.#members.receiveOther(peer, split.epoch, split.encoded, (handover) => {
        if (!this.#world.isStopped()) this.#turn({ kind: "handover", ...handover });
      });
    }
    const message = split && decodeBftMessage(split.encoded, this.#members.limits, hash);
    if (message === undefined) return seal.malformed(peer);
    if (message.kind === "Said" && isSpareVote(this.#state, message.signed)) return seal.passOver(peer);
    seal.check(message, peer, () => {
      if (this.#world.isStopped() || epoch !== this.#state.epoch) return;
      this.#turn({ kind: "receive", from: peer, message: this.#timely(message) });
    });
  }

  handle(message: ToDriver): void {
    switch (message.kind) {
      case "propose":
        for (const { kind, payload } of message.entries) this.#propose(kind, this.#withMarks(kind, payload), payload);
        return this.#turn();
      case "readBarrier":
        return this.#marks.ask(message.id, this.#world.clock.monotonic());
      case "instruct":
        return this.#instruct(message);
      case "attested":
        return this.#turn({ kind: "checkpointed", index: message.last.index, digest: hexOf(message.root) });
      case "overdue":
        return this.#watch(message);
      case "waiting":
        return this.#note(message.ids);
      case "installed":
        return this.#onInstalled(message.last.index, message.time, message.configuration);
      case "report":
        return this.#reports.say(message);
      case "named":
        return this.#turn({ kind: "distrust", replicas: message.replicas });
      case "checkpointed":
      case "quarantined":
        // The log follows the stable checkpoint, and no vote rests on what was executed. A primary that is set aside proposes nothing for clients.
        return;
      default:
        return unreachable(message);
    }
  }

  #createMembers(): BftMembers {
    const { members, seal, limits, hash } = this.#parts;
    const { send, dropped } = this.#world;
    return new BftMembers({
      ...{ state: this.#state, founding: members, seal, limits, hash, dropped },
      send: (to, bytes) => send(to, peerMessageTypes.bft, bytes),
      tell: (to, payload) => send(to, peerMessageTypes.change, payload),
      instructed: (id, outcome) => this.#instructed(id, outcome),
    });
  }

  /** The primary proposes it, the others wait for it. */
  #onChange(): void {
    const request = this.#members.waiting;
    if (!this.#world.isStopped()) this.#turn(request && { kind: "request", request });
  }

  #createMarks(): BftMarks {
    const { seed, overdueMs, seal } = this.#parts;
    const { toHost } = this.#world;
    return new BftMarks({
      seed,
      overdueMs,
      seal: (request) => seal.sealBundle([request]),
      send: (bytes, isOverdue) => this.#sendMark(bytes, isOverdue),
      passed: (id, index) => toHost({ kind: "barrierPassed", id, index }),
      failed: (id) => toHost({ kind: "barrierFailed", id }),
    });
  }

  #createReports(): BftReports {
    const { seal, limits } = this.#parts;
    return new BftReports({
      seal,
      payloadBytesMax: limits.batchBytesMax,
      isPrimary: () => this.isLeading && !this.#world.isStopped(),
      toPrimary: (report) => {
        const { primary, isChanging } = this.#role ?? {};
        if (primary === undefined || isChanging === true) return;
        this.#world.send(primary, peerMessageTypes.report, report);
      },
      again: () => this.#turn(),
    });
  }

  #sendMark(bytes: Uint8Array, isOverdue: boolean): void {
    const { self, limits, hash } = this.#parts;
    const { primary, isChanging } = this.#role ?? {};
    const name = decodeBundle(bytes, limits, hash)?.name;
    if (name === undefined) return;
    if (isOverdue) this.#watchMark(name);
    if (this.isLeading) this.#orderMark(name, bytes);
    for (const to of this.#state.replicas) {
      if (to !== self && (isOverdue || (to === primary && isChanging === false))) {
        this.#world.send(to, peerMessageTypes.mark, bytes);
      }
    }
  }

  /** The primary orders it; the others were told because it waits for too long. Whoever told them may have left the primary out. */
  #onMark(request: RequestName, bytes: Uint8Array): void {
    if (this.isLeading) return this.#orderMark(request, bytes);
    const { primary, isChanging } = this.#role ?? {};
    if (primary === undefined || isChanging !== false) return;
    this.#watchMark(request);
    this.#world.send(primary, peerMessageTypes.mark, bytes);
  }

  /** Until it is decided, or another primary is told of it again. */
  #watchMark(request: RequestName): void {
    if (this.#marksWatched.size >= marksWatchedMax) return;
    this.#marksWatched.set(request.id, request);
    this.#turn({ kind: "request", request });
  }

  /** Sent again while it is being ordered, it is ordered once. */
  #orderMark({ id }: RequestName, bytes: Uint8Array): void {
    if (this.#marksOrdered.has(id)) return;
    this.#marksOrdered.add(id);
    this.#marksAsked.push(bytes);
    this.#turn();
  }

  /** All replicas compare how long requests wait: one alone that finds a primary slow replaces nobody. */
  #note(ids: readonly Digest[]): void {
    const { self } = this.#parts;
    const notice = encodeNotice(ids);
    for (const to of this.#state.replicas) if (to !== self) this.#world.send(to, peerMessageTypes.waiting, notice);
    this.#turn({ kind: "came", from: self, ids });
  }

  /** Requests that wait for too long: the primary is watched from now on, unless they are decided already and not executed here yet. */
  #watch({ requests, ended }: Extract<ToDriver, { readonly kind: "overdue" }>): void {
    const { limits, hash } = this.#parts;
    const nameOf = (bytes: Uint8Array): RequestName | undefined => decodeBundle(bytes, limits, hash)?.name;
    for (const request of requests.map(nameOf)) {
      if (request !== undefined && !this.decided.has(request)) this.#inputs.push({ kind: "request", request });
    }
    for (const request of ended.map(nameOf)) if (request !== undefined) this.#inputs.push({ kind: "settled", request });
    this.#turn();
  }

  #instruct({ id, instruction }: Extract<ToEngine, { readonly kind: "instruct" }>): void {
    if (instruction.kind === "reconfigure") {
      this.#members.ask(id, instruction.signed);
      return this.#onChange();
    }
    if (instruction.kind === "change") return this.#instructed(id, "NOT_SIGNED");
    if (instruction.kind === "transfer") return this.#instructed(id, "FIXED_ORDER");
    if (!this.isLeading) return this.#instructed(id, "NO_LEADER");
    this.#checkpointsAsked.push(id);
    this.#propose("checkpoint", noPayload);
    this.#turn();
  }

  #instructed(id: number, outcome: InstructionOutcome): void {
    this.#world.toHost({ kind: "instructed", id, outcome });
  }

  /** The first of the payloads that is within the limits. */
  #propose(kind: EntryKind, ...payloads: readonly Uint8Array[]): void {
    if (!this.isLeading) return;
    const { limits, hash } = this.#parts;
    const time = this.#offeredTime();
    for (const payload of payloads) {
      const proposal: Proposal = { kind, payload, time };
      const batch = batchOf(proposal, limits, hash);
      if (batch !== undefined) return void this.#proposals.push(batch);
    }
    this.#world.dropped("proposal", `a ${kind} entry cannot be ordered under PBFT`);
  }

  /** An entry costs the same with them as without. Whose mark is in none asks again. */
  #withMarks(kind: EntryKind, payload: Uint8Array): Uint8Array {
    if (kind !== "batch" || !this.isLeading) return payload;
    const marks = this.#takeMarks(payload.length);
    return marks.length === 0 ? payload : addBundles(payload, marks);
  }

  /** As many as fit behind so many bytes. */
  #takeMarks(bytes: number): readonly Uint8Array[] {
    let room = this.#parts.limits.batchBytesMax - bytes - marksGatheredMax;
    const fit = this.#marksAsked.findIndex(({ length }) => (room -= length) < 0);
    return this.#marksAsked.splice(0, fit < 0 ? this.#marksAsked.length : fit);
  }

  /** Marks join what clients ask for if there is anything: so the host has had its turn first. */
  get #mayOrderMarks(): boolean {
    const { committed, proposed } = this.#state;
    const waiting = this.#marksAsked.length;
    if (waiting === 0 || this.#proposals.length > 0) return false;
    if (waiting > marksGatheredMax) return true;
    return committed === proposed && (this.#isInTick || this.#isExecuted);
  }

  /** All that is decided. */
  get #isExecuted(): boolean {
    const { backlog, delivery } = this.#world;
    return delivery().index === this.#state.committed && backlog.isEmpty;
  }

  #offeredTime(): AgreedTime {
    return this.#time.offer(this.#world.clock.wall());
  }

  /** Takes every step that waits, each behind all that the one before has asked for. */
  #turn(input?: BftInput): void {
    if (input !== undefined) this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (;;) {
      const next = this.#inputs.shift() ?? this.#nextProposal();
      if (next === undefined || this.#world.isStopped()) break;
      for (const effect of step(this.#state, next, this.#world.clock.monotonic())) this.#perform(effect);
    }
    this.#isStepping = false;
  }

  #nextProposal(): BftInput | undefined {
    if (!this.isLeading) return undefined;
    const change = this.#members.nextProposal();
    if (change !== undefined) this.#propose("configuration", change);
    if (this.#mayOrderMarks) this.#propose("batch", encodeBundles(this.#takeMarks(0)));
    const room = roomOf(this.#state);
    const batches = room === 0 ? [] : [...this.#nextReports(), ...this.#proposals.splice(0, this.#roomForOthers(room))];
    if (batches.length === 0) return this.#nextFill();
    this.#entriesProposed += batches.length;
    return { kind: "propose", batches };
  }

  #nextReports(): readonly Batch[] {
    const { limits, hash } = this.#parts;
    const payload = this.#reports.next(this.#world.clock.monotonic());
    if (payload === undefined) return [];
    const batch = batchOf({ kind: "report", payload, time: this.#offeredTime() }, limits, hash);
    invariant(batch !== undefined, "reports that were decoded before can be ordered");
    return [batch];
  }

  /** The end of a window is for reports: what cannot be finished would be found out with no room left. */
  #roomForOthers(room: number): number {
    return Math.max(0, room - reservedOf(this.#state.settings));
  }

  /** The end of an epoch is reached as soon as all before is executed. */
  #nextFill(): BftInput | undefined {
    const { committed, proposed } = this.#state;
    const isExecuted = committed === proposed && this.#isExecuted;
    return roomToEnd(this.#state, isExecuted) > 0 ? { kind: "fill", isExecuted } : undefined;
  }

  #perform(effect: BftEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#world.send(effect.to, peerMessageTypes.bft, encodeInEpoch(this.#state.epoch, effect.message));
      case "persist":
        return this.#persist(effect);
      case "say":
        return this.#say(effect.say);
      case "commit":
        return this.#commit(effect.upTo);
      case "fetchCheckpoint": {
        const { index, digest } = effect.certificate;
        return this.#fetch(index, digest);
      }
      case "role":
        return this.#onRole(effect.role);
      case "epoch":
        this.#members.began(effect.successor);
        return this.#world.membersChanged();
      case "evidence":
        return this.#parts.evidence(effect.evidence);
      default:
        return unreachable(effect);
    }
  }

  #persist({ write, then }: Persist): void {
    const { isStopped, stepAside } = this.#world;
    this.#journal.write(write.records, (failure) => {
      if (failure !== undefined) return stepAside(failure);
      if (isStopped()) return;
      for (const say of then) this.#say(say);
    });
    for (const record of write.records) {
      if (record.kind === "accepted") this.#time.observe(record.batch.proposal.time);
      if (record.kind === "stable" || record.kind === "epoch") this.#onStable(record.certificate);
    }
  }

  /** Everything recorded up to now is written, or about to be. */
  #onStable({ index, digest, checkpoints }: CheckpointCertificate): void {
    const state = this.#state;
    const root = bytesOfHex(digest);
    invariant(root !== undefined, "the digest of a stable checkpoint is its root");
    this.#world.toHost({
      kind: "certified",
      certificate: { index, root, bytes: 0, by: checkpoints.map(({ by }) => by) },
    });
    this.decided.forget();
    if (this.#journal.isLong) this.#journal.shorten(recordsOf(state), this.#world.stepAside);
  }

  /** To the others, and to this replica's own core: no vote counts for more because it is one's own. */
  #say({ epoch, statement, batch }: Say): void {
    const { seal, self } = this.#parts;
    if (epoch !== this.#state.epoch || !seal.canSign) return;
    const signed = seal.seal(statement);
    const message: BftMessage =
      batch !== undefined && isPrepare(signed)
        ? { kind: "PrePrepare", prepare: signed, batch }
        : { kind: "Said", signed };
    const bytes = encodeInEpoch(epoch, message);
    for (const to of this.#state.replicas) if (to !== self) this.#world.send(to, peerMessageTypes.bft, bytes);
    this.#turn({ kind: "receive", from: self, message });
  }

  /** A proposal with a time that cannot be is not accepted; that its primary has made it counts all the same. */
  #timely(message: BftMessage): BftMessage {
    if (message.kind !== "PrePrepare") return message;
    const { prepare, batch } = message;
    const { index, view, digest } = prepare.statement;
    const accepted = this.#state.slots.get(index)?.accepted;
    const isAgreed = accepted?.view === view && accepted.digest === digest;
    const { kind, time } = batch.proposal;
    if (isAgreed || kind === "noop" || this.#time.isNear(time, this.#world.clock.wall())) return message;
    this.#world.dropped("time of a proposal", `${prepare.by} proposes ${time} for entry ${index}`);
    return { kind: "Said", signed: prepare };
  }

  #commit(upTo: LogIndex): void {
    const now = this.#world.clock.monotonic();
    this.decided.commit(upTo, (index, { requests, proposal: { kind, time } }) => {
      this.#time.observe(time);
      for (const { id } of requests) {
        this.#marksOrdered.delete(id);
        this.#marksWatched.delete(id);
        this.#marks.decided(id, index, now);
      }
      this.#members.decided(requests);
      if (kind === "checkpoint") for (const id of this.#checkpointsAsked.splice(0)) this.#instructed(id, "done");
    });
    this.#world.delivery().commit(upTo);
  }

  #onRole(role: BftRole): void {
    this.#role = role;
    this.#settledAt = role.isOpen ? this.#state.proposed : undefined;
    this.#members.restart();
    this.#proposals = [];
    this.#marksAsked = [];
    this.#marksOrdered.clear();
    for (const request of this.#marksWatched.values()) this.#inputs.push({ kind: "settled", request });
    this.#marksWatched.clear();
    this.#reports.restart();
    for (const id of this.#checkpointsAsked.splice(0)) this.#instructed(id, "unknown");
    this.#tellRole(role);
    if (!role.isChanging) this.#marks.restart(this.#world.clock.monotonic());
  }

  #tellRole({ epoch, view, primary, isChanging, isOpen }: BftRole): void {
    this.#world.toHost({
      kind: "roleChanged",
      role: {
        role: isOpen ? "leader" : isChanging ? "candidate" : "follower",
        term: noTerm,
        view,
        epoch,
        leader: isChanging ? undefined : primary,
        settledAt: this.#settledAt,
        isFull: isOpen && this.#full !== undefined,
      },
    });
  }

  /** Without space for more log nothing is taken from clients. */
  #lookForSpace(): void {
    const { space, full } = this.#parts.log;
    const now = space === "ample" ? undefined : full;
    if (now === this.#full) return;
    this.#full = now;
    this.#world.toHost({ kind: "health", health: { ...healthy, full: now } });
    if (this.#role !== undefined) this.#tellRole(this.#role);
  }

  #onInstalled(index: LogIndex, time: AgreedTime, configuration: Configuration): void {
    if (index > this.#state.committed) {
      this.decided.installed(index, time);
      this.#time.observe(time);
      this.#marks.fail();
    }
    this.#turn({ kind: "installed", index, configured: endingIn(configuration) });
  }

  /** The host has fallen so far behind that what it lacks is given back. */
  #fetchIfGone(): void {
    const { stable } = this.#state;
    if (this.#world.delivery().index < this.decided.start) this.#fetch(stable.index, stable.digest);
  }

  #fetch(index: LogIndex, digest: string): void {
    if (index < this.#fetching) return;
    this.#fetching = index;
    this.#world.toHost({ kind: "fetchCheckpoint", index, root: bytesOfHex(digest) });
  }
}

/** What the state after a change says of it. */
function endingIn({ index, membership }: Configuration): Ending | undefined {
  const successor = index === noIndex ? undefined : successorOf(membership);
  return successor && { at: index, successor };
}

function isPrepare(signed: Signed): signed is Extract<BftMessage, { readonly kind: "PrePrepare" }>["prepare"] {
  return signed.statement.kind === "Prepare";
}
