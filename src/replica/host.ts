/**
 * The service side of a replica: takes clients' requests, gets them ordered, executes what is decided, answers.
 *
 * Owns: the walk of a request through admission, batching, execution and answer, in turns, and what becomes of it when this replica is set
 * aside. Leaves to others: clients' requests (`requests.ts`) and queries (`queries.ts`), getting them ordered (`proposals.ts`), order (the
 * engine, behind the channel), the rules of sessions (`execution/`), connections (its owner gives `answer`). Every replica executes every
 * entry, so a follower answers its own clients; the leader answers only those connected to it.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import { unreachable } from "../base/invariant.js";
import type { AdmissionLimits, ExecutionLimits } from "../api/config.js";
import type { RoleView } from "../consensus/vocabulary.js";
import type { Executed } from "../execution/executor.js";
import type { Entry } from "../model/entry.js";
import type { AuditedPosition } from "../model/audit.js";
import type { ReplicaId } from "../model/ids.js";
import type { QuarantineState } from "../model/quarantine.js";
import type { AdmissionRefusal, ClientMessage, ReplicaMessage } from "../model/request.js";
import type { Hash } from "../ports/hash.js";
import type { Attestation } from "./attestation.js";
import { Auditor } from "./auditor.js";
import type { ToEngine, ToHost } from "./channel.js";
import { Checkpointer } from "./checkpointer.js";
import { Divergence } from "./divergence.js";
import { newCounters, type HostCounters } from "./host-counters.js";
import { Execution } from "./execution.js";
import { receiveForwarded, type ForwardedParts } from "./forwarded.js";
import type { HostOrdering } from "./host-ordering.js";
import type { Quarantine } from "./quarantine.js";
import type { OutgoingParts } from "./outgoing.js";
import { OrderedReports } from "./ordered-reports.js";
import { Overdue } from "./overdue.js";
import { Proposals } from "./proposals.js";
import { Queries } from "./queries.js";
import { Requests } from "./requests.js";
import type { Scrubber, ScrubberParts } from "./scrubber.js";
import { StepsUnfinished, type StepsUnfinishedParts } from "./unfinished.js";
import { VersionKeeper } from "./version-keeper.js";

export interface HostParts extends StepsUnfinishedParts {
  readonly hash: Hash;
  readonly scrubCycleMs?: ScrubberParts["scrubCycleMs"];
  /** Of a checkpoint (`CheckpointLimits`). */
  readonly chunkBytes: number;
  readonly admission: AdmissionLimits;
  readonly execution: ExecutionLimits;
  readonly ordering: HostOrdering;
  readonly toEngine: (message: ToEngine) => void;
  readonly answer: (connection: number, message: ReplicaMessage) => void;
  readonly isCongested: (connection: number) => boolean;
  /** Asks to be given another `turnEnd`, soon. */
  readonly again: () => void;
  readonly roleChanged: (role: RoleView) => void;
  readonly found: (finding: AuditedPosition) => void;
  /** What this replica may do for clients; they hear of it before any refusal that follows from it. */
  readonly quarantineChanged: (state: QuarantineState) => void;
  readonly broken: (reason: string, isDisowned: boolean) => void;
}

type ToThisHost = Exclude<ToHost, { readonly kind: "fetchCheckpoint" | "health" | "instructed" }>;

export class Host {
  readonly #parts: HostParts;
  readonly #requests: Requests;
  readonly #queries: Queries;
  #role: RoleView | undefined;
  readonly #proposals: Proposals;
  readonly #overdue: Overdue;
  readonly #forwarded: ForwardedParts;
  readonly #attestation: Attestation;
  readonly #checkpointer: Checkpointer;
  readonly #auditor: Auditor;
  readonly #versionKeeper: VersionKeeper;
  readonly #unfinished: StepsUnfinished;
  readonly #execution: Execution;
  readonly #divergence: Divergence;
  #stopping = false;
  #broken = false;
  readonly counters: HostCounters = newCounters();

  constructor(parts: HostParts) {
    this.#parts = parts;
    // Each is given what it needs by name: objects that are made by copying others differ in their hidden classes, and everything that
    // reads them is slower.
    const { self, incarnation, executor, checkpoints, hash, clock, chunkBytes, admission, execution } = parts;
    const { toEngine, answer, isCongested, again, dropped } = parts;
    const { form, attestation, checkpointsWaitingMax: waitingMax } = parts.ordering;
    const { believesPeers } = executor.reportRules;
    const leader = (): ReplicaId | undefined => this.#role?.leader;
    const isLeading = (): boolean => this.#isLeading();
    // Also one that cannot execute what earlier leaders have promised: reports may be about that.
    const isLeader = (): boolean => this.#role?.role === "leader";
    const reports = new OrderedReports({ self, executor, leader, isLeading: isLeader, toEngine, again });
    const order = (report: Uint8Array): void => reports.order(report);
    const divergence = this.#createDivergence();
    this.#divergence = divergence;
    const attested = divergence.whileServing(toEngine);
    this.#attestation = attestation({ self, incarnation, executor, order: divergence.whileServing(order) }, attested);
    this.#checkpointer = new Checkpointer({
      executor,
      store: checkpoints,
      hash,
      clock,
      chunkBytes,
      attestation: this.#attestation,
      waitingMax,
      certified: (certified) => {
        toEngine({ kind: "checkpointed", ...certified });
        again();
      },
      diverged: (reason) => {
        if (!this.#divergence.disproved()) this.#halt(reason);
      },
    });
    this.#auditor = new Auditor(parts, order);
    this.#versionKeeper = new VersionKeeper({ self, incarnation, executor, clock, order, toEngine });
    this.#unfinished = new StepsUnfinished(parts, order, {
      rebuild: () => this.#rebuild(),
      broken: (reason) => this.#halt(reason),
    });
    this.#execution = new Execution({
      executor,
      execution,
      checkpoints,
      checkpointer: this.#checkpointer,
      clock,
      auditor: this.#auditor,
      unfinished: this.#unfinished,
      toEngine,
      again,
      executed: (entry, each) => this.#onExecuted(entry, each),
      passed: (entry) => {
        if (entry.term === this.#role?.term) this.#proposals.passed(entry);
      },
      broken: (reason) => this.#halt(reason),
    });
    const sendOn = (request: QueuedRequest): void => this.#proposals.add(request);
    const { counters } = this;
    const asking = { self, executor, admission, form, counters, hash, toEngine, answer, sendOn, dropped, again };
    const requests = (this.#requests = new Requests(asking));
    const refuse: OutgoingParts["refuse"] = (from, keys, refusal) => requests.refuse(from, keys, refusal);
    this.#proposals = new Proposals({ self, executor, admission, clock, form, toEngine, refuse, isLeading, again });
    const waiting = (): ReturnType<Requests["waiting"]> => requests.waiting();
    this.#overdue = new Overdue({ self, executor, admission, clock, form, waiting, leader, sendOn, toEngine });
    const request = (forwarded: QueuedRequest): void => {
      this.#overdue.heard(forwarded);
      sendOn(forwarded);
    };
    this.#forwarded = { self, form, believesPeers, leader, requests, divergence, reports, request, again, dropped };
    const counted = (refusal: AdmissionRefusal): AdmissionRefusal => requests.counted(refusal);
    this.#queries = new Queries({ executor, clock, admission, toEngine, answer, isCongested, again, counted });
  }

  get checkpointer(): Checkpointer {
    return this.#checkpointer;
  }

  get quarantine(): Quarantine {
    return this.#divergence.quarantine;
  }

  get scrubber(): Scrubber {
    return this.#auditor.scrubber;
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
    return this.#requests.count + this.#queries.count;
  }

  get pendingBytes(): number {
    return this.#requests.bytes + this.#queries.bytes;
  }

  /** An encoded request (`wire/request-codec.ts`) of a client of this replica. */
  request(connection: number, bytes: Uint8Array): void {
    this.#requests.add(connection, bytes, this.#closed);
    this.#parts.again();
  }

  /** Of a client that signs for itself. */
  signedRequest(connection: number, bundle: Uint8Array): void {
    this.#requests.addSigned(connection, bundle, () => this.#closed);
  }

  query(connection: number, query: Exclude<ClientMessage, { readonly kind: "request" | "signed" }>): void {
    if (query.kind === "confirm" || query.kind === "follow") return this.#requests.ask(connection, query, this.#closed);
    this.#queries.add(connection, query, this.#closed);
  }

  disconnected(connection: number): void {
    this.#requests.disconnected(connection);
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
      case "rewound":
        return this.#execution.rewound(message.id);
      case "barrierPassed":
        return this.#queries.barrierPassed(message);
      case "barrierFailed":
        return this.#queries.barrierFailed(message.id);
      case "roleChanged":
        return this.#onRole(message.role);
      case "forwarded":
        return receiveForwarded(this.#forwarded, message.from, message.payload);
      case "certified":
        return this.#attestation.certified(message.certificate);
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
    this.#divergence.look();
    this.#checkpointer.look();
    this.#queries.answerReady(this.#execution.index);
    this.#requests.send(this.quarantine.isServing);
    this.#proposals.send(this.#role);
    this.#askBarrier();
  }

  tick(): void {
    if (this.#broken) return;
    this.#queries.refuseLate();
    this.#queries.endWaits();
    this.#proposals.tick();
    this.#overdue.tick();
    this.#checkpointer.look();
    this.#divergence.tick();
    if (this.quarantine.state !== "stopped") this.#auditor.tick();
    this.#versionKeeper.tick(this.#isLeading());
    this.#unfinished.tick();
    this.#queries.release();
    this.#askBarrier();
  }

  /** Nothing more is written to disk. */
  stop(): void {
    this.#checkpointer.stop();
    this.#proposals.stop();
    this.#execution.stop();
  }

  #createDivergence(): Divergence {
    const { self, incarnation, executor, clock, execution, toEngine, found } = this.#parts;
    return new Divergence({
      self,
      incarnation,
      limits: execution,
      executor,
      clock,
      toEngine,
      isCaughtUp: () => this.#queries.isCaughtUp,
      found,
      changed: (state) => this.#onQuarantine(state),
      rebuild: () => this.#rebuild(),
    });
  }

  /** Why nothing is taken from clients, if so. */
  get #closed(): AdmissionRefusal | undefined {
    if (this.#stopping || this.#broken) return stoppingRefusal;
    return this.#divergence.quarantine.isServing ? undefined : quarantinedRefusal;
  }

  #onRole(role: RoleView): void {
    const { leader, term } = this.#role ?? { leader: undefined, term: undefined };
    this.#role = role;
    this.#queries.release();
    if (leader !== role.leader || term !== role.term) {
      this.counters.leaderChanges += 1;
      this.#proposals.restart(this.#requests.all());
    }
    this.#proposals.close(role.isFull === true ? diskFull : undefined);
    this.#parts.roleChanged(role);
  }

  /** Leads, and has executed everything that earlier leaders may have promised. */
  #isLeading(): boolean {
    const role = this.#role;
    if (this.#divergence.quarantine.isOut) return false;
    return role?.role === "leader" && role.settledAt !== undefined && role.settledAt <= this.#execution.index;
  }

  #onExecuted(entry: Entry, each: Executed): void {
    this.#proposals.executed(each);
    this.#requests.executed(entry.index, each);
    this.#overdue.executed(each.key);
  }

  #askBarrier(): void {
    if (this.#role?.leader !== undefined) this.#queries.askBarriers();
  }

  #onQuarantine(state: QuarantineState): void {
    this.#parts.quarantineChanged(state);
    this.#parts.again();
    if (this.#divergence.quarantine.isServing) return;
    // What was sent on may be executed all the same: those who asked have just been told so.
    this.#requests.refuseAll(quarantinedRefusal);
    this.#queries.refuseAll(quarantinedRefusal);
    this.#proposals.restart([]);
    if (state === "stopped") this.stop();
  }

  /** What was executed is wrong: it is executed again, from the newest checkpoint that others vouch for. */
  #rebuild(): void {
    this.#checkpointer.restart();
    this.#auditor.restart();
    this.#execution.rebuild();
  }

  #halt(reason: string, isDisowned = false): void {
    this.#broken = true;
    this.#execution.stop();
    this.#queries.stop();
    this.#parts.broken(reason, isDisowned);
  }
}

const diskFull: AdmissionRefusal = { code: "DISK_FULL" };
const stoppingRefusal: AdmissionRefusal = { code: "STOPPING" };
const quarantinedRefusal: AdmissionRefusal = { code: "QUARANTINED" };
