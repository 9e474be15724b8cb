/**
 * One replica as its clients and its owner see it: the host, the connections of clients, and the turn in which both sides talk.
 *
 * Owns: the turn. Messages between host and engine are queued and given over in order, never from within one another; a turn ends when
 * both queues are empty, and only then do frames leave. Leaves to others: everything that decides. Built by
 * `open-replica.ts`, which also says where the engine runs.
 */
import type { Limits } from "../api/config.js";
import type { ReplicaStatus } from "../api/replica.js";
import type { RoleView } from "../consensus/vocabulary.js";
import type { AuditFinding } from "../api/replica.js";
import type { Executor } from "../execution/executor.js";
import type { AuditedPosition } from "../model/audit.js";
import type { Certificate } from "../model/checkpoint.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import type { QuarantineState } from "../model/quarantine.js";
import type { Instruction, InstructionOutcome } from "../model/instruction.js";
import { memberOf, type Membership } from "../model/membership.js";
import type { ClientMessage, ReplicaMessage } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Connection, ConnectionHandlers } from "../ports/network.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import type { EvidenceStore } from "../storage/evidence-store.js";
import type { UnfinishedStore } from "../storage/unfinished-store.js";
import { Clients } from "../transport/clients.js";
import type { Identity } from "../transport/gate.js";
import {
  clientMessageTypes,
  decodeClientMessage,
  encodeReplicaMessage,
  replicaMessageTypes,
  writeReplyMessage,
} from "../wire/client-codec.js";
import { encodeRequest } from "../wire/request-codec.js";
import { healthy, type EngineHealth, type ToEngine, type ToHost } from "./channel.js";
import type { EngineFigures, EngineListener } from "./engine-side.js";
import { EvidenceKeeper } from "./evidence-keeper.js";
import { Host } from "./host.js";
import type { HostOrdering } from "./host-ordering.js";
import { Instructions } from "./instructions.js";
import type { ScrubberParts } from "./scrubber.js";
import { StateTransfer } from "./state-transfer.js";
import { statusOf } from "./status.js";

/** The ordering side, wherever it runs (`engine-side.ts`). */
export interface OrderingEngine {
  readonly membership: Membership;
  readonly connected: readonly ReplicaId[];
  handle(messages: readonly ToEngine[]): void;
  tick(): void;
  figures(): EngineFigures;
  /** Nothing is ordered or said from now on. */
  stop(): void;
  /** After `stop`; `done` once nothing is being written to the log any more. */
  close(done: () => void): void;
}

export interface ReplicaParts<Ordering extends OrderingEngine> {
  readonly identity: Identity;
  readonly executor: Executor;
  readonly checkpoints: CheckpointStore;
  readonly unfinished: UnfinishedStore;
  readonly evidence: EvidenceStore;
  readonly clock: Clock;
  readonly hash: Hash;
  readonly limits: Limits;
  readonly scrubCycleMs?: ScrubberParts["scrubCycleMs"];
  readonly ordering: HostOrdering;
  readonly observer: ReplicaObserver;
  /** The last entry that the log does not hold any more. */
  readonly logStart: LogIndex;
  /** The disk has forgotten something: it may never be used again. */
  readonly disowned: (reason: string) => void;
  readonly engine: (listener: EngineListener) => Ordering;
}

/** Told of what happens while it happens: it only looks. */
export interface ReplicaObserver {
  roleChanged(role: RoleView): void;
  healthChanged(health: EngineHealth): void;
  /** Replicas differ at this position, and did not at the one before. */
  found(finding: AuditedPosition): void;
  /** This replica was set aside, or is in service again. */
  quarantineChanged(state: QuarantineState): void;
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

export class ReplicaCore<Ordering extends OrderingEngine = OrderingEngine> {
  readonly #parts: ReplicaParts<Ordering>;
  readonly #engine: Ordering;
  readonly #host: Host;
  /** The newest, as the core has told. */
  #certified: Certificate | undefined;
  readonly #instructions: Instructions;
  readonly #transfer: StateTransfer;
  readonly #evidence: EvidenceKeeper;
  readonly #clients: Clients;
  readonly #local = new Map<number, (message: ReplicaMessage) => void>();
  /** Answers to doors, given over at the end of the turn. */
  #localAnswers: { readonly connection: number; readonly message: ReplicaMessage }[] = [];
  #toHost: ToHost[] = [];
  #toEngine: ToEngine[] = [];
  #isScheduled = false;
  #isInTurn = false;
  #nextLocal = -1;
  #cancelTick: () => void = () => {};
  #broken: string | undefined;
  /** What clients have heard last. */
  #told: RoleView | undefined;
  #health: EngineHealth = healthy;
  readonly #startedAt: number;
  readonly #framesDropped: Record<string, number> = {};

  constructor(parts: ReplicaParts<Ordering>) {
    this.#parts = parts;
    const { executor, checkpoints, hash, clock, limits, identity } = parts;
    this.#startedAt = clock.monotonic();
    this.#clients = this.#createClients();
    this.#host = new Host({
      executor,
      checkpoints,
      hash,
      clock,
      self: identity.id,
      incarnation: identity.incarnation,
      chunkBytes: limits.checkpoints.chunkBytes,
      admission: limits.admission,
      execution: limits.execution,
      ordering: parts.ordering,
      scrubCycleMs: parts.scrubCycleMs,
      toEngine: (message) => void this.#toEngine.push(message),
      answer: (connection, message) => this.#answer(connection, message),
      isCongested: (connection) => this.#clients.isCongested(connection),
      again: () => this.#again(),
      roleChanged: (role) => this.#onRole(role),
      found: (finding) => parts.observer.found(finding),
      quarantineChanged: (state) => {
        // Behind this a refusal says nothing of what was sent on before.
        this.#tellLeader();
        parts.observer.quarantineChanged(state);
      },
      broken: (reason, isDisowned) => this.#break(reason, isDisowned),
      dropped: (reason, detail) => this.#drop(reason, detail),
      unfinished: parts.unfinished,
      wantCheckpoint: (index) => this.#wantCheckpoint(index),
      askForCheckpoint: () => this.instruct({ kind: "checkpoint" }, () => undefined),
    });
    this.#instructions = new Instructions({
      self: identity.id,
      clock,
      leader: () => (this.#broken === undefined ? this.#host.role?.leader : undefined),
      toEngine: (message) => void this.#toEngine.push(message),
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
    this.#transfer = this.#createTransfer();
    this.#evidence = new EvidenceKeeper({ ...parts, dropped: (reason, detail) => this.#drop(reason, detail) });
    this.#engine = parts.engine({
      toHost: (message) => this.#post(message),
      membersChanged: () => this.#tellLeader(),
      peerChanged: (peer, isConnected, cause) => {
        parts.observer.peerChanged(peer, isConnected, cause);
        this.#again();
      },
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
    // The log begins behind what could be loaded: a peer's checkpoint is needed before anything else.
    const { logStart } = parts;
    if (this.#host.execution.index < logStart) this.#transfer.want(logStart);
    this.#scheduleTick();
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
        else if (message.kind === "signed") this.#host.signedRequest(connection, message.bundle);
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

  get finding(): AuditFinding | undefined {
    return this.#parts.executor.audits.trail.finding;
  }

  get engine(): Ordering {
    return this.#engine;
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
    this.#host.stop();
    this.#evidence.stop();
    this.#instructions.end();
    this.#clients.stop();
    this.#engine.stop();
  }

  status(): Omit<ReplicaStatus, "quorateVersion" | "incarnation"> {
    return statusOf({
      ...this.#parts,
      host: this.#host,
      figures: this.#engine.figures(),
      membership: this.#engine.membership,
      connected: this.#engine.connected,
      transfer: this.#transfer,
      health: this.#health,
      startedAt: this.#startedAt,
      now: this.#parts.clock.monotonic(),
      broken: this.#broken,
      clientConnections: this.#clients.count + this.#local.size,
      framesDropped: this.#framesDropped,
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

  #createTransfer(): StateTransfer {
    const { checkpoints, hash, limits } = this.#parts;
    return new StateTransfer({
      store: checkpoints,
      hash,
      limits: limits.transfer,
      believesPeers: this.#parts.executor.reportRules.believesPeers,
      peers: () => this.#engine.connected,
      send: (to, payload) => {
        this.#toEngine.push({ kind: "forward", as: "transfer", to, payload });
        this.#again();
      },
      fetched: (checkpoint) => {
        this.#host.execution.install(checkpoint);
        this.#transfer.done(checkpoint.last.index);
      },
      dropped: (reason, detail) => this.#drop(reason, detail),
    });
  }

  /** Where peers are not believed only what is certified can be fetched. */
  #wantCheckpoint(index: LogIndex): void {
    if (this.#parts.executor.reportRules.believesPeers) return this.#transfer.want(index);
    const certified = this.#certified;
    if (certified !== undefined && certified.index >= index) this.#transfer.want(certified.index, certified.root);
  }

  #onClientMessage(connection: number, type: number, payload: Uint8Array): void {
    if (type === clientMessageTypes.request) return this.#host.request(connection, payload);
    const message = decodeClientMessage(type, payload);
    if (message?.kind === "signed") this.#host.signedRequest(connection, message.bundle);
    else if (message !== undefined && message.kind !== "request") this.#host.query(connection, message);
    else this.#drop("malformed client message", `type ${type}, connection ${connection}`);
  }

  #post(message: ToHost): void {
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
      for (const message of toHost) this.#handle(message);
      this.#host.turnEnd();
      const toEngine = this.#toEngine;
      this.#toEngine = [];
      if (toEngine.length > 0) this.#engine.handle(toEngine);
    } while (this.#toHost.length > 0 || this.#toEngine.length > 0);
    this.#isInTurn = false;
    const answers = this.#localAnswers;
    this.#localAnswers = [];
    for (const { connection, message } of answers) this.#local.get(connection)?.(message);
  }

  #handle(message: ToHost): void {
    if (message.kind === "health") return this.#onHealth(message.health);
    if (message.kind === "certified") this.#certified = message.certificate;
    if (message.kind === "instructed") return this.#instructions.instructed(message.id, message.outcome);
    if (message.kind === "fetchCheckpoint") {
      if (message.index > this.#host.execution.coming) this.#transfer.want(message.index, message.root);
      return;
    }
    if (message.kind !== "forwarded" || message.as === "host") return this.#host.handle(message);
    const { as, from, payload } = message;
    if (as === "instruction") return this.#instructions.receive(from, payload);
    return this.#transfer.receive(from, payload, this.#parts.clock.monotonic());
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#parts.clock.after(this.#parts.limits.raft.tickMs, () => {
      this.#scheduleTick();
      this.#engine.tick();
      this.#host.tick();
      this.#evidence.tick();
      this.#instructions.tick();
      // What was wanted may have come another way: entry by entry.
      this.#transfer.done(this.#host.execution.index);
      this.#transfer.step(this.#parts.clock.monotonic());
      if (this.#toEngine.length > 0) this.#again();
    });
  }

  #answer(connection: number, message: ReplicaMessage): void {
    if (connection < 0) {
      this.#localAnswers.push({ connection, message });
      // A turn gives it over, also where no tick will: in a replica that has stepped aside or stopped.
      if (!this.#isInTurn) this.#again();
    } else if (isShortReply(message)) {
      this.#clients.sendWritten(connection, replicaMessageTypes.reply, message, writeReplyMessage);
    } else this.#clients.send(connection, replicaMessageTypes[message.kind], encodeReplicaMessage(message));
  }

  #onRole(role: RoleView): void {
    // A client that hears of a leader takes it for another one, or for another term.
    const isSame = this.#told?.leader === role.leader && this.#told?.term === role.term;
    this.#told = role;
    if (!isSame) this.#tellLeader();
    this.#parts.observer.roleChanged(role);
  }

  #onHealth(health: EngineHealth): void {
    this.#health = health;
    this.#parts.observer.healthChanged(health);
  }

  #tellLeader(): void {
    const message = this.#leaderMessage();
    for (const connection of this.#local.keys()) this.#answer(connection, message);
    this.#clients.sendAll(replicaMessageTypes.leader, encodeReplicaMessage(message));
  }

  #leaderMessage(): ReplicaMessage {
    const leader = this.#host.role?.leader;
    const address = leader === undefined ? undefined : memberOf(this.#engine.membership, leader)?.client;
    return { kind: "leader", leader, address };
  }

  #break(reason: string, isDisowned: boolean): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#cancelTick();
    this.#instructions.end();
    this.#engine.stop();
    if (isDisowned) this.#parts.disowned(reason);
    this.#parts.observer.broken(reason);
  }

  #drop(reason: string, detail: string): void {
    this.#framesDropped[reason] = (this.#framesDropped[reason] ?? 0) + 1;
    this.#parts.observer.dropped(reason, detail);
  }
}

/** As nearly all answers are. */
function isShortReply(message: ReplicaMessage): message is Extract<ReplicaMessage, { readonly kind: "reply" }> {
  return message.kind === "reply" && message.reply.status === "ok" && message.reply.output.length < shortReplyBytes;
}

const shortReplyBytes = 1_024;
