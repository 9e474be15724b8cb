/**
 * Runs the Raft core over its log and the links to the others.
 *
 * Owns: performing effects in their order, stamping agreed time, repairing damaged entries from peers. Leaves to others: every decision
 * (`consensus/raft/`), handing over what is decided (`delivery.ts`), bytes on disk (`storage/`). Called by `engine.ts` in turns.
 */
import { unreachable } from "../base/invariant.js";
import type { RaftLimits, RepairLimits } from "../api/config.js";
import { newestConfiguration } from "../consensus/raft/configuration.js";
import type { RaftMessage } from "../consensus/raft/messages.js";
import type { RaftState } from "../consensus/raft/state.js";
import { step } from "../consensus/raft/step.js";
import type { Effect, Input, RoleView } from "../consensus/vocabulary.js";
import { isMadeByCore, type Entry } from "../model/entry.js";
import { after, before, minIndex, noIndex } from "../model/ids.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import type { DamagedEntry, Promised } from "../model/log.js";
import type { Hash } from "../ports/hash.js";
import type { Known } from "../storage/known-store.js";
import type { LogStore, StorageFailure } from "../storage/log-store.js";
import type { Standing } from "../transport/gate.js";
import { decodeRaftMessage, encodeRaftMessage } from "../wire/raft-codec.js";
import { AgreedTimeSource } from "./agreed-time.js";
import type { Certified, ToEngine } from "./channel.js";
import type { Decided } from "./delivery.js";
import {
  peerMessageTypes,
  type Driver,
  type DriverWorld,
  type FollowerFigures,
  type InstalledState,
  type ToDriver,
} from "./engine.js";
import { Health } from "./health.js";
import { Repair } from "./repair.js";

export interface RaftDriverParts {
  readonly state: RaftState;
  readonly log: LogStore;
  /** What of the log was found damaged. */
  readonly damaged: readonly DamagedEntry[];
  /** What earlier processes knew. */
  readonly known: Known;
  readonly hash: Hash;
  readonly seed: number;
  readonly limits: { readonly raft: RaftLimits; readonly repair: RepairLimits };
  readonly executionStallMsMax: number;
}

type RaftEffect = Effect<RaftMessage>;
type Persist = Extract<RaftEffect, { readonly kind: "persist" }>;

/** That takes a little space itself, which a full disk may not have. */
const compactAgainMs = 1_000;

export class RaftDriver implements Driver {
  readonly #parts: RaftDriverParts;
  readonly #world: DriverWorld;
  readonly #time: AgreedTimeSource;
  readonly #repair: Repair;
  readonly #health: Health;
  readonly decided: Decided;
  readonly believesPeers = true;
  #role: RoleView | undefined;
  #encoded: { readonly message: RaftMessage; readonly bytes: Uint8Array } | undefined;
  #entriesProposed = 0;
  /** A log without space is made shorter again from then on. */
  #compactAt = -Infinity;
  /** How often a part of the log was replaced. */
  #truncations = 0;
  #newestRepaired: Entry | undefined;
  #configurationsRepaired: Entry[] = [];

  constructor(parts: RaftDriverParts, world: DriverWorld) {
    this.#parts = parts;
    this.#world = world;
    const { state, log, damaged, known, hash, seed, limits, executionStallMsMax } = parts;
    for (const { id, incarnation, promised } of known.peers) {
      state.incarnations.set(id, incarnation);
      if (promised !== undefined) state.promises.set(id, promised);
    }
    const repair = new Repair({ damaged, peers: () => state.peers, log, hash, seed, limits: limits.repair });
    this.#repair = repair;
    this.#health = new Health({ state, log, executionStallMsMax, toHost: world.toHost }, world.backlog);
    this.#time = new AgreedTimeSource(state.log.lastTime);
    this.decided = {
      commitIndex: state.commitIndex,
      get start() {
        return state.log.start.index;
      },
      reach: (commitIndex) => {
        const { firstDamaged } = repair;
        return firstDamaged === undefined ? commitIndex : minIndex(commitIndex, before(firstDamaged));
      },
      entriesFrom: (from, bytesMax) => state.log.entriesFrom(from, bytesMax),
      read: (from, bytesMax, done) => log.read(from, bytesMax, done),
    };
  }

  /** For looking: only `step` changes it. */
  get state(): RaftState {
    return this.#parts.state;
  }

  get lastIndex(): LogIndex {
    return this.#parts.state.log.lastIndex;
  }

  get isLeading(): boolean {
    return this.#parts.state.role.kind === "leader";
  }

  get isWhole(): boolean {
    return this.#repair.firstDamaged === undefined;
  }

  get entriesProposed(): number {
    return this.#entriesProposed;
  }

  get followers(): ReadonlyMap<ReplicaId, FollowerFigures> {
    const { role } = this.#parts.state;
    if (role.kind !== "leader") return new Map();
    return new Map(
      [...role.followers].map(([id, { progress }]) => {
        const inFlightBytes = progress.mode === "replicate" ? progress.inflight.bytes : 0;
        return [id, { match: progress.match, inFlightBytes }];
      }),
    );
  }

  get standing(): Standing {
    const { state } = this.#parts;
    const { index, term, membership } = newestConfiguration(state);
    return { membership, configuration: { index, term }, promisedBy: (id) => state.promises.get(id) };
  }

  promisedBy(id: ReplicaId, incarnation: number): Promised | undefined {
    const { incarnations, promises } = this.#parts.state;
    return incarnations.get(id) === incarnation ? promises.get(id) : undefined;
  }

  tick(): void {
    const { log, state } = this.#parts;
    const now = this.#world.clock.monotonic();
    // A log without space is not kept for the sake of an older checkpoint.
    if (log.space !== "ample" && now >= this.#compactAt) {
      this.#compactAt = now + compactAgainMs;
      log.compact(state.log.start.index);
    }
    this.#turn({ kind: "tick" });
    this.#repairTurn();
  }

  connected(peer: ReplicaId, incarnation: number): void {
    this.#turn({ kind: "connected", peer, incarnation });
  }

  disconnected(peer: ReplicaId): void {
    this.#turn({ kind: "disconnected", peer });
  }

  arriving(peer: ReplicaId): void {
    this.#turn({ kind: "arriving", peer });
  }

  receive(peer: ReplicaId, type: number, payload: Uint8Array): boolean {
    if (type === peerMessageTypes.raft) {
      const message = decodeRaftMessage(payload);
      if (message === undefined) this.#world.dropped("malformed raft message", `from ${peer}`);
      else this.#turn({ kind: "receive", from: peer, message });
    } else if (type === peerMessageTypes.repair) {
      this.#repair.receive(peer, payload, this.#world.clock.monotonic());
      this.#repairTurn();
    } else return false;
    return true;
  }

  handle(message: ToDriver): void {
    switch (message.kind) {
      case "propose":
        return this.#propose(message.entries);
      case "readBarrier":
        return this.#turn({ kind: "barrier", id: message.id, byLease: message.byLease });
      case "instruct":
        return this.#turn(message);
      case "checkpointed":
        return this.#onCheckpointed(message);
      case "installed":
        return this.#onInstalled(message);
      case "quarantined":
        this.#health.setQuarantined(message.isQuarantined);
        // A leader makes way now: it may be rebuilt before the next tick.
        return this.#turn({ kind: "tick" });
      case "attested":
      case "overdue":
      case "waiting":
      case "report":
      case "named":
        // Checkpoints are certified in the order here, a leader that was named makes way by itself, and a leader is given up for its silence, never for what it orders late.
        return;
      default:
        return unreachable(message);
    }
  }

  #propose(entries: Extract<ToEngine, { readonly kind: "propose" }>["entries"]): void {
    const { clock } = this.#world;
    const time = this.#time.offer(clock.wall(), clock.monotonic());
    this.#entriesProposed += entries.length;
    this.#turn({ kind: "propose", proposals: entries.map(({ kind, payload }) => ({ kind, payload, time })) });
  }

  #turn(input: Input<RaftMessage>): void {
    if (this.#world.isStopped()) return;
    const now = this.#world.clock.monotonic();
    for (const each of this.#health.look(now)) this.#step(each, now);
    this.#step(input, now);
  }

  #step(input: Input<RaftMessage>, now: number): void {
    for (const effect of step(this.#parts.state, input, now)) this.#perform(effect);
  }

  #perform(effect: RaftEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#send(effect.to, effect.message);
      case "persist":
        return this.#persist(effect);
      case "commit":
        return this.#world.delivery().commit(effect.upTo);
      case "load":
        return this.#load(effect);
      case "fetchCheckpoint":
        return this.#world.toHost({ kind: "fetchCheckpoint", index: effect.checkpoint.index });
      case "members":
        return this.#world.membersChanged();
      case "role":
        this.#role = effect.role;
        return this.#world.toHost({ kind: "roleChanged", role: effect.role });
      case "barrierPassed":
        return this.#world.toHost(effect);
      case "barrierFailed":
        return this.#world.toHost({ kind: "barrierFailed", id: effect.id });
      case "instructed":
        return this.#world.toHost(effect);
      case "resigned":
        return this.#health.resigned(effect);
      default:
        return unreachable(effect);
    }
  }

  #send(to: ReplicaId, message: RaftMessage): void {
    // Followers at the same place are sent the same message: its entries are copied once.
    if (this.#encoded?.message !== message) this.#encoded = { message, bytes: encodeRaftMessage(message) };
    this.#world.send(to, peerMessageTypes.raft, this.#encoded.bytes);
  }

  #persist({ write, then }: Persist): void {
    const newest = write.entries.at(-1);
    // A leader's own entries carry its own offer; only another leader's move the anchor. What the core makes repeats the time before it, which
    // after a start may be long ago, or 0 in a new group: it must not become the first anchor.
    if (newest !== undefined && !isMadeByCore(newest) && this.#role?.role !== "leader") {
      this.#time.observe(newest.time, this.#world.clock.monotonic());
    }
    const gone = write.resetTo === undefined ? write.truncateFrom : after(noIndex);
    if (gone !== undefined) {
      this.#truncations += 1;
      this.#repair.truncated(gone);
    }
    this.#parts.log.write(write, (failure) => {
      if (failure !== undefined) return this.#world.stepAside(failure);
      if (this.#world.isStopped()) return;
      for (const { to, message } of then) this.#send(to, message);
      this.#turn({ kind: "persisted", id: write.id });
      if (gone !== undefined) this.#afterRepair();
    });
  }

  /** What cannot be read was cut off meanwhile, or is damaged: a leader that cannot show its log to others must not lead (D9). */
  #load({ peer, from, bytesMax }: Extract<RaftEffect, { readonly kind: "load" }>): void {
    const truncations = this.#truncations;
    this.#parts.log.read(from, bytesMax, (result) => {
      if (Array.isArray(result)) return this.#turn({ kind: "loaded", peer, from, entries: result as readonly Entry[] });
      // Given back meanwhile: the core sends the checkpoint instead.
      const isGone = (result as StorageFailure).code === "compacted";
      if (truncations === this.#truncations && !isGone) return this.#world.stepAside(result as StorageFailure);
      this.#world.dropped("log read", (result as StorageFailure).message);
    });
  }

  #onCheckpointed({ last, unneeded }: Certified): void {
    const { log, state } = this.#parts;
    this.#turn({ kind: "checkpointed", checkpoint: last });
    if (this.#world.isStopped() || state.checkpoint.index < last.index) return;
    this.#repair.forgetUpTo(last.index);
    log.compact(minIndex(unneeded, state.log.start.index));
    this.#afterRepair();
  }

  #onInstalled({ last, time, configuration }: InstalledState): void {
    this.#turn({ kind: "installed", checkpoint: last, time, configuration });
    this.#repair.forgetUpTo(last.index);
    this.#afterRepair();
  }

  #repairTurn(): void {
    const { log } = this.#parts;
    const repair = this.#repair;
    const { clock, send, toHost, dropped } = this.#world;
    if (this.#world.isStopped()) return;
    for (const effect of repair.step(clock.monotonic())) {
      if (effect.kind === "send") send(effect.to, peerMessageTypes.repair, effect.payload);
      else if (effect.kind === "unavailable") {
        dropped("damaged entry", `no other replica has entry ${effect.index}: nothing after it is executed`);
        // They may have given it back: then a checkpoint that covers it is there.
        toHost({ kind: "fetchCheckpoint", index: effect.index });
      } else {
        log.repair(effect.entry, (failure) => {
          if (failure !== undefined) return this.#world.stepAside(failure);
          repair.written(effect.entry.index);
          if (effect.entry.kind === "configuration") this.#configurationsRepaired.push(effect.entry);
          if (effect.entry.index > (this.#newestRepaired?.index ?? noIndex)) this.#newestRepaired = effect.entry;
          this.#afterRepair();
          this.#world.delivery().deliver();
        });
      }
    }
  }

  /** With a whole log this replica may stand for election again, without a restart (hazard D10). */
  #afterRepair(): void {
    const hasState = this.#world.delivery().index >= this.#parts.state.log.start.index;
    if (this.#repair.firstDamaged !== undefined || !hasState) return;
    const configurations = this.#configurationsRepaired.splice(0);
    this.#turn({ kind: "repaired", newest: this.#newestRepaired, configurations });
  }
}
