/**
 * The ordering side of a replica: runs the consensus core over log and links, and delivers what is decided.
 *
 * Owns: performing effects in their order, stamping agreed time. Leaves to others: every decision (`consensus/`), handing over what is
 * decided (`delivery.ts`), bytes on disk (`storage/`), clients (`replica/host.ts`, reached by the channel alone). One turn runs to its end
 * before the next begins.
 *
 * Invariant P1: a message in `persist.then` leaves only after its write is durable. After a storage failure nothing is sent any more: the replica has stepped aside.
 */
import { unreachable } from "../base/invariant.js";
import type { RaftLimits } from "../api/config.js";
import type { RaftMessage } from "../consensus/raft/messages.js";
import type { RaftState } from "../consensus/raft/state.js";
import { step } from "../consensus/raft/step.js";
import type { Effect, Input, RoleView } from "../consensus/vocabulary.js";
import { isMadeByCore, type Entry, type EntryId } from "../model/entry.js";
import { after, noIndex } from "../model/ids.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import type { Membership } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { LogStore, StorageFailure } from "../storage/log-store.js";
import { decodeRaftMessage, encodeRaftMessage } from "../wire/raft-codec.js";
import { AgreedTimeSource } from "./agreed-time.js";
import { Backlog } from "./backlog.js";
import type { Correspondent, ToEngine, ToHost } from "./channel.js";
import { Delivery } from "./delivery.js";
import { Health } from "./health.js";
import type { Repair } from "./repair.js";

/** Types of the messages on a link between replicas. */
const peerMessageTypes = { raft: 1, host: 2, repair: 3, transfer: 4, instruction: 5 } as const;
const correspondents: ReadonlyMap<number, Correspondent> = new Map(
  (["host", "instruction", "transfer"] as const).map((as) => [peerMessageTypes[as], as]),
);

export interface EngineParts {
  readonly state: RaftState;
  readonly log: LogStore;
  readonly clock: Clock;
  readonly limits: RaftLimits;
  readonly deliveredBytesMax: number;
  readonly executionStallMsMax: number;
  readonly repair: Repair;
  readonly send: (peer: ReplicaId, type: number, payload: Uint8Array) => void;
  readonly toHost: (message: ToHost) => void;
  readonly members: (membership: Membership) => void;
  readonly dropped: (reason: string, detail: string) => void;
}

type InstalledState = Omit<Extract<ToEngine, { readonly kind: "installed" }>, "kind">;
type RaftEffect = Effect<RaftMessage>;
type Persist = Extract<RaftEffect, { readonly kind: "persist" }>;

export class Engine {
  readonly #parts: EngineParts;
  readonly #time: AgreedTimeSource;
  #broken: string | undefined;
  #role: RoleView | undefined;
  readonly #delivery: Delivery;
  readonly #health: Health;
  #encoded: { readonly message: RaftMessage; readonly bytes: Uint8Array } | undefined;
  #entriesProposed = 0;
  /** How often a part of the log was replaced. */
  #truncations = 0;
  #newestRepaired: Entry | undefined;
  #configurationsRepaired: Entry[] = [];

  constructor(parts: EngineParts) {
    this.#parts = parts;
    const backlog = new Backlog();
    this.#health = new Health(parts, backlog);
    const { state, log, clock, repair, deliveredBytesMax, toHost } = parts;
    this.#delivery = new Delivery({
      state,
      log,
      clock,
      repair,
      backlog,
      deliveredBytesMax,
      toHost,
      isStopped: () => this.#broken !== undefined,
      failed: (failure) => this.#stepAside(failure),
    });
    this.#time = new AgreedTimeSource(parts.state.log.lastTime);
  }

  get commitIndex(): LogIndex {
    return this.#delivery.commitIndex;
  }

  get lastIndex(): LogIndex {
    return this.#parts.state.log.lastIndex;
  }

  get entriesProposed(): number {
    return this.#entriesProposed;
  }

  /** What the host has loaded from disk at start, and which checkpoint of it others may have. */
  begin(loaded: InstalledState | undefined, certified: EntryId | undefined): void {
    if (loaded !== undefined) this.#onInstalled(loaded);
    if (certified !== undefined) this.#onCheckpointed(certified);
  }

  tick(): void {
    this.#turn({ kind: "tick" });
    this.#repairTurn();
  }

  connected(peer: ReplicaId, incarnation: number): void {
    this.#turn({ kind: "connected", peer, incarnation });
  }

  disconnected(peer: ReplicaId): void {
    this.#turn({ kind: "disconnected", peer });
  }

  /** Nothing is stepped or written from now on: the log is about to be closed. */
  stop(): void {
    this.#broken ??= "stopped";
  }

  /** From the link of `peer`, behind the gate. */
  receive(peer: ReplicaId, type: number, payload: Uint8Array): void {
    if (this.#broken !== undefined) return;
    switch (type) {
      case peerMessageTypes.raft: {
        const message = decodeRaftMessage(payload);
        if (message === undefined) return this.#parts.dropped("malformed raft message", `from ${peer}`);
        return this.#turn({ kind: "receive", from: peer, message });
      }
      case peerMessageTypes.repair:
        this.#parts.repair.receive(peer, payload, this.#parts.clock.monotonic());
        return this.#repairTurn();
      default: {
        const as = correspondents.get(type);
        if (as === undefined) return this.#parts.dropped("message type", `type ${type} from ${peer}`);
        return this.#parts.toHost({ kind: "forwarded", as, from: peer, payload });
      }
    }
  }

  handle(message: ToEngine): void {
    switch (message.kind) {
      case "propose":
        return this.#propose(message.entries);
      case "readBarrier":
        return this.#turn({ kind: "barrier", id: message.id, byLease: message.byLease });
      case "instruct":
        return this.#turn(message);
      case "appliedUpTo":
        return this.#delivery.executedUpTo(message.index);
      case "checkpointed":
        return this.#onCheckpointed(message.last);
      case "installed":
        return this.#onInstalled(message);
      case "rewind":
        return this.#delivery.rewind(message.id, message.to);
      case "quarantined":
        this.#health.setQuarantined(message.isQuarantined);
        // A leader makes way now: it may be rebuilt before the next tick.
        return this.#turn({ kind: "tick" });
      case "forward":
        return this.#parts.send(message.to, peerMessageTypes[message.as], message.payload);
      default:
        return unreachable(message);
    }
  }

  #propose(entries: Extract<ToEngine, { readonly kind: "propose" }>["entries"]): void {
    const { clock } = this.#parts;
    const time = this.#time.offer(clock.wall(), clock.monotonic());
    this.#entriesProposed += entries.length;
    this.#turn({ kind: "propose", proposals: entries.map(({ kind, payload }) => ({ kind, payload, time })) });
  }

  #turn(input: Input<RaftMessage>): void {
    if (this.#broken !== undefined) return;
    const now = this.#parts.clock.monotonic();
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
        return this.#delivery.commit(effect.upTo);
      case "load":
        return this.#load(effect);
      case "fetchCheckpoint":
        return this.#parts.toHost({ kind: "fetchCheckpoint", index: effect.checkpoint.index });
      case "members":
        return this.#parts.members(effect.membership);
      case "role":
        this.#role = effect.role;
        return this.#parts.toHost({ kind: "roleChanged", role: effect.role });
      case "barrierPassed":
        return this.#parts.toHost(effect);
      case "barrierFailed":
        return this.#parts.toHost({ kind: "barrierFailed", id: effect.id });
      case "instructed":
        return this.#parts.toHost(effect);
      case "resigned":
        return this.#health.resigned(effect);
      default:
        return unreachable(effect);
    }
  }

  #send(to: ReplicaId, message: RaftMessage): void {
    // Followers at the same place are sent the same message: its entries are copied once.
    if (this.#encoded?.message !== message) this.#encoded = { message, bytes: encodeRaftMessage(message) };
    this.#parts.send(to, peerMessageTypes.raft, this.#encoded.bytes);
  }

  #persist({ write, then }: Persist): void {
    const newest = write.entries.at(-1);
    // A leader's own entries carry its own offer; only another leader's move the anchor. What the core makes repeats the time before it, which
    // after a start may be long ago, or 0 in a new group: it must not become the first anchor.
    if (newest !== undefined && !isMadeByCore(newest) && this.#role?.role !== "leader") {
      this.#time.observe(newest.time, this.#parts.clock.monotonic());
    }
    const gone = write.resetTo === undefined ? write.truncateFrom : after(noIndex);
    if (gone !== undefined) {
      this.#truncations += 1;
      this.#parts.repair.truncated(gone);
    }
    this.#parts.log.write(write, (failure) => {
      if (failure !== undefined) return this.#stepAside(failure);
      if (this.#broken !== undefined) return;
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
      if (truncations === this.#truncations && !isGone) return this.#stepAside(result as StorageFailure);
      this.#parts.dropped("log read", (result as StorageFailure).message);
    });
  }

  #onCheckpointed(last: EntryId): void {
    const { log, repair, state } = this.#parts;
    this.#turn({ kind: "checkpointed", checkpoint: last });
    if (this.#broken !== undefined || state.checkpoint.index < last.index) return;
    repair.forgetUpTo(last.index);
    log.compact(last.index);
    this.#afterRepair();
  }

  #onInstalled({ last, time, configuration }: InstalledState): void {
    this.#delivery.skipTo(last.index);
    this.#turn({ kind: "installed", checkpoint: last, time, configuration });
    this.#parts.repair.forgetUpTo(last.index);
    this.#afterRepair();
    this.#delivery.executedUpTo(last.index);
  }

  #repairTurn(): void {
    const { repair, clock, log, send, toHost, dropped } = this.#parts;
    if (this.#broken !== undefined) return;
    for (const effect of repair.step(clock.monotonic())) {
      if (effect.kind === "send") send(effect.to, peerMessageTypes.repair, effect.payload);
      else if (effect.kind === "unavailable") {
        dropped("damaged entry", `no other replica has entry ${effect.index}: nothing after it is executed`);
        // They may have given it back: then a checkpoint that covers it is there.
        toHost({ kind: "fetchCheckpoint", index: effect.index });
      } else {
        log.repair(effect.entry, (failure) => {
          if (failure !== undefined) return this.#stepAside(failure);
          repair.written(effect.entry.index);
          if (effect.entry.kind === "configuration") this.#configurationsRepaired.push(effect.entry);
          if (effect.entry.index > (this.#newestRepaired?.index ?? noIndex)) this.#newestRepaired = effect.entry;
          this.#afterRepair();
          this.#delivery.deliver();
        });
      }
    }
  }

  /** With a whole log this replica may stand for election again, without a restart (hazard D10). */
  #afterRepair(): void {
    const { repair, state } = this.#parts;
    const hasState = this.#delivery.index >= state.log.start.index;
    if (repair.firstDamaged !== undefined || !hasState) return;
    const configurations = this.#configurationsRepaired.splice(0);
    this.#turn({ kind: "repaired", newest: this.#newestRepaired, configurations });
  }

  #stepAside(failure: StorageFailure): void {
    this.#break(failure.message, false);
  }

  /** A peer remembers what this disk has forgotten: nothing is said any more, for good. */
  disown(reason: string): void {
    this.#break(reason, true);
  }

  #break(reason: string, isDisowned: boolean): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#parts.toHost({ kind: "broken", reason, isDisowned });
  }
}
