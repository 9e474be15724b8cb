/**
 * One replica: engine and host joined by the channel, with their links.
 *
 * Owns: the turn. Messages between the halves are queued and given over in order, never from within one another; a turn ends when
 * both queues are empty, and only then do frames leave. Leaves to others: everything that decides. Built by
 * `open-replica.ts` from ports and recovered state.
 */
import type { Limits } from "../api/config.js";
import type { ReplicaStatus } from "../api/replica.js";
import { newestConfiguration } from "../consensus/raft/configuration.js";
import type { RaftState } from "../consensus/raft/state.js";
import type { RoleView } from "../consensus/vocabulary.js";
import type { Executor } from "../execution/executor.js";
import { bytesOf, type Checkpoint } from "../model/checkpoint.js";
import { noIndex, noTerm, type LogIndex, type ReplicaId } from "../model/ids.js";
import type { Instruction, InstructionOutcome } from "../model/instruction.js";
import { memberOf, membersOf, type Member } from "../model/membership.js";
import type { ClientMessage, ReplicaMessage } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Connection, ConnectionHandlers, Network } from "../ports/network.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import type { LogStore } from "../storage/log-store.js";
import { Clients } from "../transport/clients.js";
import type { Identity, Standing } from "../transport/gate.js";
import { Peers } from "../transport/peers.js";
import {
  clientMessageTypes,
  decodeClientMessage,
  encodeReplicaMessage,
  replicaMessageTypes,
} from "../wire/client-codec.js";
import { encodeRequest } from "../wire/request-codec.js";
import type { ToEngine, ToHost, ToInstructions } from "./channel.js";
import { Engine, peerMessageTypes } from "./engine.js";
import { Host } from "./host.js";
import { Instructions } from "./instructions.js";
import type { Repair } from "./repair.js";
import { StateTransfer } from "./state-transfer.js";

export interface ReplicaParts {
  readonly identity: Identity;
  /** Whom to look for while the log names no members: where a replica that joins begins. */
  readonly seeds: readonly Member[];
  readonly state: RaftState;
  readonly log: LogStore;
  readonly executor: Executor;
  readonly checkpoints: CheckpointStore;
  /** The checkpoint that the executor begins with. */
  readonly loaded: Checkpoint | undefined;
  readonly repair: Repair;
  readonly clock: Clock;
  readonly hash: Hash;
  readonly network: Network;
  readonly seed: number;
  readonly limits: Limits;
  readonly observer: ReplicaObserver;
}

/** Told of what happens while it happens: it only looks. */
export interface ReplicaObserver {
  roleChanged(role: RoleView): void;
  /** The replica has stepped aside for good, for example because its disk failed: stop it. */
  broken(reason: string): void;
  peerChanged(peer: ReplicaId, isConnected: boolean, cause: string): void;
  /** Something was dropped or refused before it could be answered. */
  dropped(reason: string, detail: string): void;
}

/** A door's connection: in this process, without sockets. */
export interface LocalConnection {
  send(message: ClientMessage): void;
  close(): void;
}

export class ReplicaCore {
  readonly #parts: ReplicaParts;
  readonly #engine: Engine;
  readonly #host: Host;
  readonly #instructions: Instructions;
  readonly #peers: Peers;
  readonly #transfer: StateTransfer;
  readonly #clients: Clients;
  readonly #local = new Map<number, (message: ReplicaMessage) => void>();
  /** Answers to doors, given over at the end of the turn. */
  #localAnswers: { readonly connection: number; readonly message: ReplicaMessage }[] = [];
  #toHost: (ToHost | ToInstructions)[] = [];
  #toEngine: ToEngine[] = [];
  #isScheduled = false;
  #isInTurn = false;
  #nextLocal = -1;
  #cancelTick: () => void = () => {};
  #broken: string | undefined;
  readonly #startedAt: number;
  readonly #framesDropped: Record<string, number> = {};

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
    const { clock, limits, identity } = parts;
    this.#startedAt = clock.monotonic();
    this.#peers = this.#createPeers();
    this.#clients = this.#createClients();
    this.#transfer = this.#createTransfer();
    this.#engine = new Engine({
      ...parts,
      transfer: this.#transfer,
      limits: limits.raft,
      deliveredBytesMax: limits.execution.deliveredBytesMax,
      send: (peer, type, payload) => this.#peers.send(peer, type, payload),
      toHost: (message) => this.#post(message),
      members: () => this.#onMembers(),
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
    this.#host = new Host({
      ...parts,
      self: identity.id,
      incarnation: identity.incarnation,
      chunkBytes: limits.checkpoints.chunkBytes,
      admission: limits.admission,
      execution: limits.execution,
      toEngine: (message) => void this.#toEngine.push(message),
      answer: (connection, message) => this.#answer(connection, message),
      isCongested: (connection) => this.#clients.isCongested(connection),
      again: () => this.#again(),
      roleChanged: (role) => this.#onRole(role),
      broken: (reason) => this.#break(reason),
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
    const { loaded, checkpoints, state } = parts;
    const { configuration } = parts.executor;
    const begun = loaded === undefined ? undefined : { last: loaded.last, time: loaded.time, configuration };
    this.#engine.begin(begun, checkpoints.certified?.last);
    // The log begins behind what could be loaded: a peer's checkpoint is needed before anything else.
    if (parts.executor.executedIndex < state.log.start.index) this.#transfer.want(state.log.start.index);
    this.#instructions = new Instructions({
      self: identity.id,
      clock,
      leader: () => (this.#broken === undefined ? this.#host.role?.leader : undefined),
      toEngine: (message) => void this.#toEngine.push(message),
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
    this.#peers.reach(this.#reachable());
    this.#scheduleTick();
  }

  acceptPeer(connect: (handlers: ConnectionHandlers) => Connection): void {
    this.#peers.accept(connect);
  }

  acceptClient(connect: (handlers: ConnectionHandlers) => Connection): void {
    this.#clients.accept(connect);
  }

  openLocal(receive: (message: ReplicaMessage) => void): LocalConnection {
    const connection = this.#nextLocal;
    this.#nextLocal -= 1;
    this.#local.set(connection, receive);
    this.#answer(connection, this.#leaderMessage());
    this.#again();
    return {
      send: (message) => {
        if (message.kind === "request") this.#host.request(connection, encodeRequest(message.request));
        else this.#host.query(connection, message);
      },
      close: () => {
        this.#local.delete(connection);
        this.#host.disconnected(connection);
      },
    };
  }

  /** An operator's; `done` is called once, with `unknown` if that is all that can be told. */
  instruct(instruction: Instruction, done: (outcome: InstructionOutcome) => void): void {
    this.#instructions.begin(instruction, done);
    this.#again();
  }

  get identity(): Identity {
    return this.#parts.identity;
  }

  /** New requests are refused from now on. */
  stopTaking(): void {
    this.#host.stopTaking();
  }

  /** Requests and queries that wait for an answer. */
  get pending(): number {
    return this.#host.pending;
  }

  stop(): void {
    this.#cancelTick();
    this.#broken ??= "stopped";
    this.#engine.stop();
    this.#host.stop();
    this.#instructions.end();
    this.#clients.stop();
    this.#peers.stop();
  }

  status(): Omit<ReplicaStatus, "quorateVersion" | "incarnation"> {
    const { identity, clock, executor, log, repair } = this.#parts;
    const { membership } = this.#standing();
    const role = this.#host.role;
    const executed = this.#host.executedIndex;
    const traffic = this.#peers.traffic();
    const machine = executor.machineStatistics;
    const checks = {
      log: this.#broken === undefined,
      leader: role?.leader !== undefined,
      executing: this.#engine.commitIndex - executed < 10_000,
      whole: repair.firstDamaged === undefined,
      settled: role?.leader !== undefined && executed > 0,
      member: memberOf(membership, identity.id) !== undefined,
    };
    return {
      id: identity.id,
      clusterId: identity.clusterId,
      role: role?.role ?? "follower",
      term: role?.term ?? noTerm,
      leader: role?.leader,
      lastIndex: this.#engine.lastIndex,
      commitIndex: this.#engine.commitIndex,
      executedIndex: executed,
      checkpoint: this.#checkpointStatus(),
      machine: {
        name: identity.machine,
        version: identity.machineVersion,
        timerFailure: machine?.lastTimerFailure,
      },
      uptimeMs: Math.round(clock.monotonic() - this.#startedAt),
      members: membership.members.map(({ id, role: memberRole, peer, client }) => {
        const connected = id === identity.id || this.#peers.isConnected(id);
        return { id, role: memberRole, peer, client, connected, matchIndex: matchOf(this.#parts.state, id) };
      }),
      ready: Object.values(checks).every((good) => good),
      checks,
      broken: this.#broken,
      counters: {
        ...this.#host.counters,
        queriesAnswered: this.#host.queriesAnswered,
        timersFired: machine?.timersFired ?? 0,
        timersFailed: machine?.timersFailed ?? 0,
        eventsEmitted: machine?.eventsEmitted ?? 0,
        entriesProposed: this.#engine.entriesProposed,
        proposalsPending: this.#host.pending,
        logWrites: log.statistics.writes,
        logSyncs: log.statistics.syncs,
        logBytes: log.statistics.bytesWritten,
        checkpointsTaken: this.#host.checkpointer.statistics.taken,
        checkpointsFetched: this.#transfer.fetched,
        syncSeconds: log.statistics.syncSeconds,
        sessions: executor.sessions.count,
        clientConnections: this.#clients.count + this.#local.size,
        framesDropped: this.#framesDropped,
        peerBytesReceived: traffic.received,
        peerBytesSent: traffic.sent,
      },
    };
  }

  #checkpointStatus(): ReplicaStatus["checkpoint"] {
    const { checkpoints, state } = this.#parts;
    const { newest, certified } = checkpoints;
    return {
      index: newest?.last.index ?? noIndex,
      certifiedIndex: certified?.last.index ?? noIndex,
      bytes: newest === undefined ? 0 : bytesOf(newest),
      logStart: state.log.start.index,
      failure: this.#host.checkpointer.statistics.failure,
      fetching: this.#transfer.progress,
    };
  }

  #createPeers(): Peers {
    const { clock, hash, network, seed, limits, identity, observer } = this.#parts;
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
      standing: () => this.#standing(),
      connected: (peer, incarnation) => {
        this.#engine.connected(peer, incarnation);
        observer.peerChanged(peer, true, "connected");
        this.#again();
      },
      disconnected: (peer, cause) => {
        this.#engine.disconnected(peer);
        observer.peerChanged(peer, false, cause);
        this.#again();
      },
      message: (peer, type, payload) => this.#engine.receive(peer, type, payload),
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
  }

  #createTransfer(): StateTransfer {
    const { checkpoints, hash, limits } = this.#parts;
    return new StateTransfer({
      store: checkpoints,
      hash,
      limits: limits.transfer,
      peers: () => this.#peers.connected,
      isConnected: (peer) => this.#peers.isConnected(peer),
      send: (to, payload) => this.#peers.send(to, peerMessageTypes.transfer, payload),
      fetched: (checkpoint) => this.#engine.fetched(checkpoint),
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
  }

  #createClients(): Clients {
    const { clock, hash, limits, identity } = this.#parts;
    const { clientFrameBytesMax, handshakeMs, clientConnectionsMax, clientOutputBytesMax, clientOutputBytesHardMax } =
      limits.transport;
    return new Clients({
      clock,
      hash,
      limits: { frameBytesMax: clientFrameBytesMax, handshakeMs },
      connectionsMax: clientConnectionsMax,
      outputBytesMax: clientOutputBytesMax,
      outputBytesHardMax: clientOutputBytesHardMax,
      self: identity,
      connected: (connection) => this.#answer(connection, this.#leaderMessage()),
      disconnected: (connection) => this.#host.disconnected(connection),
      drained: (connection) => this.#host.drained(connection),
      message: (connection, type, payload) => this.#onClientMessage(connection, type, payload),
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
  }

  #onClientMessage(connection: number, type: number, payload: Uint8Array): void {
    if (type === clientMessageTypes.request) return this.#host.request(connection, payload);
    const message = decodeClientMessage(type, payload);
    if (message?.kind === "query" || message?.kind === "events") this.#host.query(connection, message);
    else this.#drop("malformed client message", `type ${type}, connection ${connection}`);
  }

  #post(message: ToHost | ToInstructions): void {
    this.#toHost.push(message);
    // A turn gives over what comes in it.
    if (!this.#isInTurn) this.#again();
  }

  #again(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const { clock } = this.#parts;
    // Asked for from within a turn, the rest is a slice of a long work: other work goes first.
    if (this.#isInTurn) clock.nextTurn(() => this.#turn());
    else clock.atTurnEnd(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    this.#isInTurn = true;
    do {
      const toHost = this.#toHost;
      this.#toHost = [];
      for (const message of toHost) {
        if (message.kind === "instructed" || message.kind === "instructionForwarded")
          this.#instructions.handle(message);
        else this.#host.handle(message);
      }
      this.#host.turnEnd();
      const toEngine = this.#toEngine;
      this.#toEngine = [];
      for (const message of toEngine) this.#engine.handle(message);
    } while (this.#toHost.length > 0 || this.#toEngine.length > 0);
    this.#isInTurn = false;
    const answers = this.#localAnswers;
    this.#localAnswers = [];
    for (const { connection, message } of answers) this.#local.get(connection)?.(message);
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#parts.clock.after(this.#parts.limits.raft.tickMs, () => {
      this.#scheduleTick();
      this.#engine.tick();
      this.#host.tick();
      this.#instructions.tick();
      if (this.#toEngine.length > 0) this.#again();
    });
  }

  #answer(connection: number, message: ReplicaMessage): void {
    if (connection < 0) {
      this.#localAnswers.push({ connection, message });
      // A turn gives it over, also where no tick will: in a replica that has stepped aside or stopped.
      if (!this.#isInTurn) this.#again();
    } else this.#clients.send(connection, replicaMessageTypes[message.kind], encodeReplicaMessage(message));
  }

  #onRole(role: RoleView): void {
    const message = this.#leaderMessage();
    for (const connection of this.#local.keys()) this.#answer(connection, message);
    this.#clients.sendAll(replicaMessageTypes.leader, encodeReplicaMessage(message));
    this.#parts.observer.roleChanged(role);
  }

  #leaderMessage(): ReplicaMessage {
    const leader = this.#host.role?.leader;
    const address = leader === undefined ? undefined : memberOf(this.#standing().membership, leader)?.client;
    return { kind: "leader", leader, address };
  }

  #standing(): Standing {
    const { index, term, membership } = newestConfiguration(this.#parts.state);
    return { membership, configuration: { index, term } };
  }

  /** A replica that was removed looks for nobody: the others have no more to say to it. */
  #reachable(): readonly Member[] {
    const { identity, seeds } = this.#parts;
    const { membership } = this.#standing();
    if (membership.members.length === 0) return seeds;
    return memberOf(membership, identity.id) === undefined ? [] : membersOf(membership);
  }

  #onMembers(): void {
    this.#peers.reach(this.#reachable());
    // The leader may have become known with its address.
    const message = this.#leaderMessage();
    for (const connection of this.#local.keys()) this.#answer(connection, message);
    this.#clients.sendAll(replicaMessageTypes.leader, encodeReplicaMessage(message));
  }

  #break(reason: string): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#cancelTick();
    this.#instructions.end();
    this.#peers.stop();
    this.#parts.observer.broken(reason);
  }

  #drop(reason: string, detail: string): void {
    this.#framesDropped[reason] = (this.#framesDropped[reason] ?? 0) + 1;
    this.#parts.observer.dropped(reason, detail);
  }
}

/** How much of this leader's log a member surely has; undefined at any other replica. */
function matchOf({ role }: RaftState, id: ReplicaId): LogIndex | undefined {
  return role.kind === "leader" ? role.followers.get(id)?.progress.match : undefined;
}
