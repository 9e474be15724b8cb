/**
 * The ordering side of a replica: the engine with its driver, its log and its links to the other replicas.
 *
 * Owns: how these are joined, and whom to look for as the members change. Leaves to others: every decision (the driver, `consensus/`),
 * everything about clients and execution (`replica.ts`, reached by `toHost` alone). Built by `open-replica.ts`; it runs on the event loop of
 * the host, or on a thread of its own.
 */
import type { Limits } from "../api/config.js";
import type { EntryId } from "../model/entry.js";
import type { AgreedTime, LogIndex, ReplicaId } from "../model/ids.js";
import { memberOf, membersOf, type Configuration, type Member, type Membership } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Connection, ConnectionHandlers, Network } from "../ports/network.js";
import type { Known, KnownStore } from "../storage/known-store.js";
import type { LogStatistics, LogStore } from "../storage/log-store.js";
import type { Identity, Life } from "../transport/gate.js";
import type { LinkProofs } from "../transport/link-proofs.js";
import { Peers, type PeerTraffic } from "../transport/peers.js";
import type { Certified, ToEngine, ToHost } from "./channel.js";
import { Engine, type Driver, type DriverWorld, type FollowerFigures } from "./engine.js";

export interface EngineSideParts<Ordering extends Driver> {
  readonly driver: (world: DriverWorld) => Ordering;
  readonly identity: Identity;
  /** Whom to look for while the log names no members: where a replica that joins begins. */
  readonly seeds: readonly Member[];
  /** Of an older cluster that this one goes on without: they are called, so that it is told when one comes back. */
  readonly lost: readonly Member[];
  readonly log: LogStore;
  /** What earlier processes knew, and where this one keeps it. */
  readonly known: Known;
  readonly knownStore: KnownStore;
  /** What the host has begun with. */
  readonly begun: Begun;
  readonly clock: Clock;
  readonly hash: Hash;
  readonly network: Network;
  /** By which replicas prove who speaks on a link, where they have keys. */
  readonly proofs?: LinkProofs | undefined;
  readonly seed: number;
  readonly limits: Limits;
}

export interface Begun {
  /** The checkpoint that it has loaded. */
  readonly loaded: { readonly last: EntryId; readonly time: AgreedTime } | undefined;
  readonly configuration: Configuration;
  /** The newest checkpoint that is certified. */
  readonly certified: Certified | undefined;
}

/** Where what happens on this side is told. */
export interface EngineListener {
  toHost(message: ToHost): void;
  membersChanged(): void;
  peerChanged(peer: ReplicaId, isConnected: boolean, cause: string): void;
  /** Something was dropped or refused before it could be answered. */
  dropped(reason: string, detail: string): void;
}

/** What a replica tells of its ordering side. */
export interface EngineFigures {
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly entriesProposed: number;
  /** The last entry that the log does not hold any more. */
  readonly logStart: LogIndex;
  /** No entry is damaged. */
  readonly isWhole: boolean;
  readonly log: LogStatistics;
  readonly followers: ReadonlyMap<ReplicaId, FollowerFigures>;
  readonly traffic: PeerTraffic;
}

export class EngineSide<Ordering extends Driver = Driver> {
  readonly #parts: EngineSideParts<Ordering>;
  readonly #listener: EngineListener;
  readonly #engine: Engine<Ordering>;
  readonly #peers: Peers;

  constructor(parts: EngineSideParts<Ordering>, listener: EngineListener) {
    this.#parts = parts;
    this.#listener = listener;
    const { driver, clock, limits, begun } = parts;
    this.#peers = this.#createPeers();
    this.#engine = new Engine({
      driver,
      clock,
      deliveredBytesMax: limits.execution.deliveredBytesMax,
      send: (peer, type, payload) => this.#peers.send(peer, type, payload),
      toHost: (message) => listener.toHost(message),
      membersChanged: () => {
        this.#peers.reach(this.#reachable());
        // The leader may have become known with its address.
        listener.membersChanged();
      },
      dropped: (reason, detail) => listener.dropped(reason, detail),
    });
    const { loaded, configuration, certified } = begun;
    this.#engine.begin(loaded === undefined ? undefined : { ...loaded, configuration }, certified);
    this.#peers.reach(this.#reachable());
  }

  get driver(): Ordering {
    return this.#engine.driver;
  }

  /** Whom this replica takes for members. */
  get membership(): Membership {
    return this.driver.standing.membership;
  }

  /** Other replicas that can be talked to. */
  get connected(): readonly ReplicaId[] {
    return this.#peers.connected;
  }

  /** Under which process each of them was heard last. */
  get lives(): ReadonlyMap<ReplicaId, Life> {
    return this.#peers.lives;
  }

  acceptPeer(connect: (handlers: ConnectionHandlers) => Connection): void {
    this.#peers.accept(connect);
  }

  handle(messages: readonly ToEngine[]): void {
    for (const message of messages) this.#engine.handle(message);
  }

  tick(): void {
    this.#engine.tick();
  }

  figures(): EngineFigures {
    const { lastIndex, entriesProposed, decided, isWhole, followers } = this.driver;
    return {
      lastIndex,
      commitIndex: this.#engine.commitIndex,
      entriesProposed,
      logStart: decided.start,
      isWhole,
      log: this.#parts.log.statistics,
      followers,
      traffic: this.#peers.traffic(),
    };
  }

  /** Nothing is ordered or said from now on. */
  stop(): void {
    this.#engine.stop();
    this.#peers.stop();
    this.#remember();
  }

  /** After `stop`; `done` once nothing is being written to the disk any more. */
  close(done: () => void): void {
    this.#parts.log.close(() => this.#parts.knownStore.close(done));
  }

  #createPeers(): Peers {
    const { clock, hash, network, seed, limits, identity, known, proofs } = this.#parts;
    const { peerFrameBytesMax, handshakeMs, redialMsMin, redialMsMax, peerSilenceMsMax } = limits.transport;
    return new Peers({
      network,
      clock,
      hash,
      seed,
      limits: { frameBytesMax: peerFrameBytesMax, handshakeMs },
      retryMsMin: redialMsMin,
      retryMsMax: redialMsMax,
      linkSilenceMsMax: peerSilenceMsMax,
      silentMs: limits.raft.electionTimeoutMsMin,
      self: identity,
      proofs,
      lives: known.peers.map((life) => [life.id, life]),
      standing: () => this.driver.standing,
      connected: (peer, incarnation) => {
        this.#engine.connected(peer, incarnation);
        this.#listener.peerChanged(peer, true, "connected");
      },
      disconnected: (peer, cause) => {
        this.#engine.disconnected(peer);
        this.#remember();
        this.#listener.peerChanged(peer, false, cause);
      },
      message: (peer, type, payload) => this.#engine.receive(peer, type, payload),
      arriving: (peer) => this.#engine.arriving(peer),
      disowned: (reason) => {
        if (this.driver.believesPeers) this.#engine.disown(reason);
        else this.#listener.dropped("disowned", reason);
      },
      dropped: (reason, detail) => this.#listener.dropped(reason, detail),
    });
  }

  /** While all is well nothing of it is asked for: it is written when a peer is lost. */
  #remember(): void {
    const { knownStore } = this.#parts;
    const lives = [...this.#peers.lives].filter(([id]) => memberOf(this.membership, id) !== undefined);
    const peers = lives.map(([id, { incarnation, process, starts }]) => {
      return { id, incarnation, process, starts, promised: this.driver.promisedBy(id, incarnation) };
    });
    knownStore.write({ commitIndex: this.#engine.commitIndex, peers });
  }

  /** A replica that was removed looks for nobody: the others have no more to say to it. */
  #reachable(): readonly Member[] {
    const { identity, seeds, lost } = this.#parts;
    const { membership } = this.driver.standing;
    if (membership.members.length === 0) return seeds;
    if (memberOf(membership, identity.id) === undefined) return [];
    return [...membersOf(membership), ...lost.filter(({ id }) => memberOf(membership, id) === undefined)];
  }
}
