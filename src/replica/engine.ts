/**
 * The ordering side of a replica, whichever core orders: hands over what is decided, and joins the core's driver with the host.
 *
 * Owns: the channel to the host, the types of messages between replicas, and stepping aside. Leaves to others: running a core over a log
 * (a `Driver`: `raft-driver.ts`), handing over what is decided (`delivery.ts`), clients (`replica/host.ts`, reached by the channel alone).
 * One turn runs to its end before the next begins.
 *
 * Invariant P1: a promise leaves only after the write that makes it true is durable. After a storage failure nothing is sent any more: the
 * replica has stepped aside.
 */
import { unreachable } from "../base/invariant.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import type { Promised } from "../model/log.js";
import type { Clock } from "../ports/clock.js";
import type { StorageFailure } from "../storage/log-store.js";
import type { Standing } from "../transport/gate.js";
import { Backlog } from "./backlog.js";
import type { Certified, Correspondent, ToEngine, ToHost } from "./channel.js";
import { Delivery, type Decided } from "./delivery.js";

/** Types of the messages on a link between replicas. Those that are no correspondent's belong to drivers. */
export const peerMessageTypes = {
  raft: 1,
  host: 2,
  repair: 3,
  transfer: 4,
  instruction: 5,
  bft: 6,
  mark: 7,
  report: 8,
  waiting: 9,
  change: 10,
} as const;
const correspondents: ReadonlyMap<number, Correspondent> = new Map(
  (["host", "instruction", "transfer"] as const).map((as) => [peerMessageTypes[as], as]),
);

/** What the host says to whoever drives the core. */
export type ToDriver = Exclude<ToEngine, { readonly kind: "appliedUpTo" | "letGo" | "rewind" | "forward" }>;
export type InstalledState = Omit<Extract<ToEngine, { readonly kind: "installed" }>, "kind">;

/** What a driver is given: the way to the host and to the others. */
export interface DriverWorld {
  readonly clock: Clock;
  /** Delivered, and not executed yet. */
  readonly backlog: Backlog;
  readonly delivery: () => Delivery;
  /** Nothing may be said or written any more. */
  readonly isStopped: () => boolean;
  readonly stepAside: (failure: StorageFailure) => void;
  readonly send: (peer: ReplicaId, type: number, payload: Uint8Array) => void;
  readonly toHost: (message: ToHost) => void;
  readonly membersChanged: () => void;
  readonly dropped: (reason: string, detail: string) => void;
}

/** Runs one ordering core over its log. It is not called any more once the replica has stepped aside. */
export interface Driver {
  readonly decided: Decided;
  /** Told by another that its disk has forgotten something, it steps aside for good. */
  readonly believesPeers: boolean;
  readonly lastIndex: LogIndex;
  readonly isLeading: boolean;
  /** Nothing of its log is damaged. */
  readonly isWhole: boolean;
  readonly entriesProposed: number;
  readonly followers: ReadonlyMap<ReplicaId, FollowerFigures>;
  readonly standing: Standing;
  /** What the replica with this id has promised, if it is of this incarnation. */
  promisedBy(id: ReplicaId, incarnation: number): Promised | undefined;
  tick(): void;
  connected(peer: ReplicaId, incarnation: number): void;
  disconnected(peer: ReplicaId): void;
  /** A part of a message came. Without this it is waited for as for any other. */
  arriving?(peer: ReplicaId): void;
  /** False: of a type that it does not know. */
  receive(peer: ReplicaId, type: number, payload: Uint8Array): boolean;
  handle(message: ToDriver): void;
}

/** At a leader: how much of its log another surely has, and how much is on its way there. */
export interface FollowerFigures {
  readonly match: LogIndex;
  readonly inFlightBytes: number;
}

export interface EngineParts<Ordering extends Driver> {
  readonly driver: (world: DriverWorld) => Ordering;
  readonly clock: Clock;
  readonly deliveredBytesMax: number;
  readonly send: DriverWorld["send"];
  readonly toHost: (message: ToHost) => void;
  readonly membersChanged: () => void;
  readonly dropped: (reason: string, detail: string) => void;
}

export class Engine<Ordering extends Driver> {
  readonly #parts: EngineParts<Ordering>;
  readonly #delivery: Delivery;
  readonly driver: Ordering;
  #broken: string | undefined;

  constructor(parts: EngineParts<Ordering>) {
    this.#parts = parts;
    const { clock, deliveredBytesMax, send, toHost, membersChanged, dropped } = parts;
    const backlog = new Backlog();
    const isStopped = (): boolean => this.#broken !== undefined;
    const stepAside = (failure: StorageFailure): void => this.#break(failure.message, false);
    const delivery = (): Delivery => this.#delivery;
    const world = { clock, backlog, delivery, isStopped, stepAside, send, toHost, membersChanged, dropped };
    this.driver = parts.driver(world);
    const { decided } = this.driver;
    this.#delivery = new Delivery({ decided, clock, backlog, deliveredBytesMax, toHost, isStopped, failed: stepAside });
  }

  get commitIndex(): LogIndex {
    return this.#delivery.commitIndex;
  }

  /** What the host has loaded from disk at start, and which checkpoint of it others may have. */
  begin(loaded: InstalledState | undefined, certified: Certified | undefined): void {
    if (loaded !== undefined) this.#onInstalled({ kind: "installed", ...loaded });
    if (certified !== undefined) this.driver.handle({ kind: "checkpointed", ...certified });
  }

  tick(): void {
    if (this.#broken === undefined) this.driver.tick();
  }

  connected(peer: ReplicaId, incarnation: number): void {
    if (this.#broken === undefined) this.driver.connected(peer, incarnation);
  }

  disconnected(peer: ReplicaId): void {
    if (this.#broken === undefined) this.driver.disconnected(peer);
  }

  arriving(peer: ReplicaId): void {
    if (this.#broken === undefined) this.driver.arriving?.(peer);
  }

  /** Nothing is stepped or written from now on: the log is about to be closed. */
  stop(): void {
    this.#broken ??= "stopped";
  }

  /** From the link of `peer`, behind the gate. */
  receive(peer: ReplicaId, type: number, payload: Uint8Array): void {
    if (this.#broken !== undefined) return;
    const as = correspondents.get(type);
    if (as !== undefined) return this.#parts.toHost({ kind: "forwarded", as, from: peer, payload });
    if (!this.driver.receive(peer, type, payload)) this.#parts.dropped("message type", `type ${type} from ${peer}`);
  }

  handle(message: ToEngine): void {
    switch (message.kind) {
      case "appliedUpTo":
        return this.#delivery.executedUpTo(message.index);
      case "installed":
        return this.#onInstalled(message);
      case "letGo":
        return this.#delivery.letGo(message.index);
      case "rewind":
        return this.#delivery.rewind(message.id, message.to);
      case "forward":
        return this.#parts.send(message.to, peerMessageTypes[message.as], message.payload);
      case "propose":
      case "readBarrier":
      case "instruct":
      case "checkpointed":
      case "attested":
      case "overdue":
      case "waiting":
      case "report":
      case "quarantined":
      case "named":
        if (this.#broken === undefined) this.driver.handle(message);
        return;
      default:
        return unreachable(message);
    }
  }

  #onInstalled(message: Extract<ToEngine, { readonly kind: "installed" }>): void {
    const { index } = message.last;
    this.#delivery.skipTo(index);
    if (this.#broken === undefined) this.driver.handle(message);
    this.#delivery.executedUpTo(index);
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
