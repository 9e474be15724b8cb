/**
 * The service side of a replica: takes clients' requests, gets them ordered, executes what is decided, answers.
 *
 * Owns: the walk of a request through admission, batching, execution and answer, in turns. Leaves to others: queries (`queries.ts`), order (the engine,
 * behind the channel), the rules of sessions (`execution/`), connections (its owner gives `answer`). Every replica executes every
 * entry, so a follower answers its own clients; the leader answers only those connected to it.
 *
 * Invariant P3: a client is answered only from execution, or with a refusal before its request left this replica's hands.
 * P4: whatever waits here when the leader changes is sent to the new one, in its old order (sessions make that harmless).
 */
import { unreachable } from "../base/invariant.js";
import { Intake } from "../admission/intake.js";
import type { AdmissionLimits, ExecutionLimits } from "../api/config.js";
import type { RoleView } from "../consensus/vocabulary.js";
import type { Executed, Executor } from "../execution/executor.js";
import type { Entry } from "../model/entry.js";
import type { ReplicaId } from "../model/ids.js";
import type { AdmissionRefusal, ReplicaMessage, RequestKey } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import { encodeBatch, peekRequest } from "../wire/request-codec.js";
import { decodeHostMessage, encodeHostMessage } from "../wire/host-codec.js";
import { Auditor } from "./auditor.js";
import type { ToEngine, ToHost } from "./channel.js";
import { Checkpointer } from "./checkpointer.js";
import { newCounters, type HostCounters } from "./host-counters.js";
import { DueTime } from "./due-time.js";
import { Execution } from "./execution.js";
import { OrderedReports } from "./ordered-reports.js";
import { Outgoing, type OutgoingParts } from "./outgoing.js";
import { Queries, type ClientQuery } from "./queries.js";
import { Waiting, type WaitingRequest } from "./waiting.js";

export interface HostParts {
  readonly self: ReplicaId;
  readonly incarnation: number;
  readonly executor: Executor;
  readonly checkpoints: CheckpointStore;
  readonly hash: Hash;
  /** Of a checkpoint (`CheckpointLimits`). */
  readonly chunkBytes: number;
  readonly clock: Clock;
  readonly admission: AdmissionLimits;
  readonly execution: ExecutionLimits;
  readonly toEngine: (message: ToEngine) => void;
  readonly answer: (connection: number, message: ReplicaMessage) => void;
  readonly isCongested: (connection: number) => boolean;
  /** Asks to be given another `turnEnd`, soon. */
  readonly again: () => void;
  readonly roleChanged: (role: RoleView) => void;
  readonly broken: (reason: string, isDisowned: boolean) => void;
  readonly dropped: (reason: string, detail: string) => void;
}

type ToThisHost = Exclude<ToHost, { readonly kind: "fetchCheckpoint" | "health" | "instructed" }>;

const noPayload = new Uint8Array(0);

export class Host {
  readonly #parts: HostParts;
  readonly #intake: Intake;
  readonly #waiting = new Waiting();
  readonly #queries: Queries;
  readonly #due = new DueTime();
  #role: RoleView | undefined;
  readonly #outgoing: Outgoing;
  readonly #reports: OrderedReports;
  readonly #checkpointer: Checkpointer;
  readonly #auditor: Auditor;
  readonly #execution: Execution;
  #stopping = false;
  #broken = false;
  readonly counters: HostCounters = newCounters();

  constructor(parts: HostParts) {
    this.#parts = parts;
    // Each is given what it needs by name: objects that are made by copying others differ in their hidden classes, and everything that
    // reads them is slower.
    const { self, incarnation, executor, checkpoints, hash, clock, chunkBytes, admission, execution } = parts;
    const { toEngine, answer, isCongested, again } = parts;
    const leader = (): ReplicaId | undefined => this.#role?.leader;
    const isLeading = (): boolean => this.#isLeading();
    this.#reports = new OrderedReports({ self, leader, isLeading, toEngine, again });
    const order = (report: Uint8Array): void => this.#reports.order(report);
    this.#checkpointer = new Checkpointer({
      self,
      incarnation,
      executor,
      store: checkpoints,
      hash,
      clock,
      chunkBytes,
      order,
      certified: (last) => {
        toEngine({ kind: "checkpointed", last });
        again();
      },
      diverged: (reason) => this.#halt(reason),
    });
    this.#auditor = new Auditor({ self, incarnation, executor, clock, order });
    this.#execution = new Execution({
      executor,
      execution,
      checkpoints,
      checkpointer: this.#checkpointer,
      clock,
      auditor: this.#auditor,
      toEngine,
      again,
      executed: (entry, each) => this.#onExecuted(entry, each),
      passed: (entry) => {
        if (entry.term === this.#role?.term && isPaced(entry)) this.#intake.onCommitted();
      },
      broken: (reason) => this.#halt(reason),
    });
    this.#intake = new Intake(admission, executor.sessions);
    const intake = this.#intake;
    const refuse: OutgoingParts["refuse"] = (from, key, refusal) => this.#refuseFor(from, key, refusal);
    this.#outgoing = new Outgoing({ self, admission, intake, toEngine, refuse });
    const counted = (refusal: AdmissionRefusal): AdmissionRefusal => this.#counted(refusal);
    this.#queries = new Queries({ executor, clock, admission, toEngine, answer, isCongested, again, counted });
  }

  get checkpointer(): Checkpointer {
    return this.#checkpointer;
  }

  get execution(): Execution {
    return this.#execution;
  }

  get queriesAnswered(): number {
    return this.#queries.answered;
  }

  get role(): RoleView | undefined {
    return this.#role;
  }

  /** Requests that are neither answered nor refused. */
  get pending(): number {
    return this.#waiting.count + this.#queries.count;
  }

  get pendingBytes(): number {
    return this.#waiting.bytes + this.#queries.bytes;
  }

  /** An encoded request (`wire/request-codec.ts`) of a client of this replica. */
  request(connection: number, bytes: Uint8Array): void {
    const key = peekRequest(bytes);
    if (key === undefined) return this.#parts.dropped("malformed request", `connection ${connection}`);
    const refusal = this.#isClosed ? stoppingRefusal : this.#waiting.pressure(connection, this.#parts.admission);
    if (refusal !== undefined) return this.#refuse(connection, key, refusal);
    const stored = this.#storedReply(key);
    if (stored !== undefined) return this.#parts.answer(connection, stored);
    const added = this.#waiting.add({ key, bytes, connection });
    // A request that waits already is on its way: only a lost message makes a client ask twice, so it goes out again.
    this.#outgoing.add({ key, bytes, from: this.#parts.self });
    if (added) this.counters.requestsAdmitted += 1;
    this.#parts.again();
  }

  query(connection: number, query: ClientQuery): void {
    this.#queries.add(connection, query, this.#isClosed ? stoppingRefusal : undefined);
  }

  disconnected(connection: number): void {
    this.#waiting.dropConnection(connection);
    this.#queries.disconnected(connection);
  }

  /** A connection for which answers were held back takes more now. */
  drained(connection: number): void {
    if (!this.#broken) this.#queries.drained(connection);
  }

  /** No new request is taken from now on; those that wait are still answered. */
  stopTaking(): void {
    this.#stopping = true;
    this.#queries.stop();
  }

  /** Called in a turn, and `turnEnd` after it in the same one. */
  handle(message: ToThisHost): void {
    switch (message.kind) {
      case "committed":
        return this.#execution.add(message.entries);
      case "barrierPassed":
        return this.#queries.barrierPassed(message);
      case "barrierFailed":
        return this.#queries.barrierFailed(message.id);
      case "roleChanged":
        return this.#onRole(message.role);
      case "forwarded":
        return this.#onForwarded(message.from, message.payload);
      case "broken":
        return this.#halt(message.reason, message.isDisowned);
      default:
        return unreachable(message);
    }
  }

  /** What came in this turn has come: execute, answer, order. */
  turnEnd(): void {
    if (this.#broken) return;
    this.#execution.run();
    if (this.#broken) return;
    this.#checkpointer.look();
    this.#queries.answerReady(this.#execution.index);
    this.#sendOutgoing();
    this.#propose();
    this.#askBarrier();
  }

  tick(): void {
    if (this.#broken) return;
    const { clock, executor } = this.#parts;
    this.#queries.refuseLate();
    this.#queries.endWaits();
    const mayPropose = this.#isLeading() && !this.#intake.isClosed;
    if (mayPropose && this.#due.isDue(executor.dueAt(), clock.wall(), clock.monotonic())) {
      this.#intake.onProposed();
      this.#parts.toEngine({ kind: "propose", entries: [{ kind: "time", payload: noPayload }] });
    }
    this.#checkpointer.look();
    this.#auditor.tick();
    this.#queries.release();
    this.#askBarrier();
  }

  /** Nothing more is written to disk. */
  stop(): void {
    this.#checkpointer.stop();
    this.#execution.stop();
  }

  get #isClosed(): boolean {
    return this.#stopping || this.#broken;
  }

  #onRole(role: RoleView): void {
    const { leader, term } = this.#role ?? { leader: undefined, term: undefined };
    this.#role = role;
    this.#queries.release();
    if (leader !== role.leader || term !== role.term) {
      this.counters.leaderChanges += 1;
      this.#intake.reset();
      this.#outgoing.replace(
        [...this.#waiting.all()].map(({ key, bytes }) => ({ key, bytes, from: this.#parts.self })),
      );
    }
    this.#intake.close(role.isFull === true ? diskFull : undefined);
    this.#parts.roleChanged(role);
  }

  /** Leads, and has executed everything that earlier leaders may have promised. */
  #isLeading(): boolean {
    const role = this.#role;
    return role?.role === "leader" && role.settledAt !== undefined && role.settledAt <= this.#execution.index;
  }

  #onForwarded(from: ReplicaId, payload: Uint8Array): void {
    const message = decodeHostMessage(payload);
    if (message === undefined) return this.#parts.dropped("malformed host message", `from ${from}`);
    if (message.kind === "refused") {
      // Only the leader of now may say no: to an earlier one the request may have gone as well, and be ordered by the next.
      if (from !== this.#role?.leader) return this.#parts.dropped("refusal by no leader", `from ${from}`);
      const request = this.#waiting.take(message.message.key);
      if (request !== undefined) this.#refuse(request.connection, request.key, message.message.refusal);
      return;
    }
    if (message.kind === "report") return this.#reports.forwarded(message.report);
    for (const bytes of message.requests) {
      const key = peekRequest(bytes);
      if (key === undefined) this.#parts.dropped("malformed request", `from ${from}`);
      else this.#outgoing.add({ key, bytes, from });
    }
  }

  #onExecuted(entry: Entry, { key, reply, repeated }: Executed): void {
    if (repeated) this.counters.commandsRepeated += 1;
    else this.counters.commandsExecuted += 1;
    if (reply.status === "refused" && (key.kind === "command" || key.kind === "resolve"))
      this.#intake.forget(key.session);
    const request = this.#waiting.take(key);
    if (request === undefined) return;
    this.#parts.answer(request.connection, { kind: "reply", key, index: entry.index, reply });
  }

  #sendOutgoing(): void {
    const role = this.#role;
    if (this.#isLeading()) this.#outgoing.take();
    else if (role?.role === "leader") this.#outgoing.hold();
    else this.#outgoing.forward(role?.leader);
  }

  #propose(): void {
    if (!this.#isLeading()) return;
    for (let batch = this.#intake.nextBatch(); batch !== undefined; batch = this.#intake.nextBatch()) {
      this.#parts.toEngine({ kind: "propose", entries: [{ kind: "batch", payload: encodeBatch(batch) }] });
    }
  }

  #askBarrier(): void {
    if (this.#role?.leader !== undefined) this.#queries.askBarriers();
  }

  #storedReply(key: RequestKey): ReplicaMessage | undefined {
    const { sessions } = this.#parts.executor;
    const reply = key.kind === "command" ? sessions.storedReply(key.session, key.number) : undefined;
    return reply === undefined ? undefined : { kind: "reply", key, index: this.#execution.index, reply };
  }

  #refuseFor(from: ReplicaId, key: RequestKey, refusal: AdmissionRefusal): void {
    if (from !== this.#parts.self) {
      const message = { kind: "requestRefused", key, refusal } as const;
      return this.#parts.toEngine({
        kind: "forward",
        as: "host",
        to: from,
        payload: encodeHostMessage({ kind: "refused", message }),
      });
    }
    const request: WaitingRequest | undefined = this.#waiting.take(key);
    if (request !== undefined) this.#refuse(request.connection, key, refusal);
  }

  #refuse(connection: number, key: RequestKey, refusal: AdmissionRefusal): void {
    this.#parts.answer(connection, { kind: "requestRefused", key, refusal: this.#counted(refusal) });
  }

  #counted(refusal: AdmissionRefusal): AdmissionRefusal {
    const { requestsRefused } = this.counters;
    requestsRefused[refusal.code] = (requestsRefused[refusal.code] ?? 0) + 1;
    return refusal;
  }

  #halt(reason: string, isDisowned = false): void {
    this.#broken = true;
    this.#execution.stop();
    this.#queries.stop();
    this.#parts.broken(reason, isDisowned);
  }
}

/** Entries of which a leader has only so many on their way. */
function isPaced({ kind }: Entry): boolean {
  return kind === "batch" || kind === "time";
}

const diskFull: AdmissionRefusal = { code: "DISK_FULL" };
const stoppingRefusal: AdmissionRefusal = { code: "STOPPING" };
