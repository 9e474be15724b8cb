/**
 * The queries of a replica's clients, from when they come to their answer or refusal, and those who follow events.
 *
 * Owns: what each level waits for, that nobody waits longer than the limit, and when a barrier is asked for. Leaves to others: waiting itself
 * (`reads.ts`, `event-waits.ts`), running (`query-answers.ts`), ages (`freshness.ts`), turns (`host.ts`, which calls this).
 */
import { unreachable } from "../base/invariant.js";
import { overload } from "../admission/pressure.js";
import type { AdmissionLimits } from "../api/config.js";
import type { Executor } from "../execution/executor.js";
import { noIndex, type LogIndex } from "../model/ids.js";
import type { AdmissionRefusal, ClientMessage, ReplicaMessage } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import type { ToEngine, ToHost } from "./channel.js";
import { EventWaits } from "./event-waits.js";
import { Freshness } from "./freshness.js";
import { QueryAnswers } from "./query-answers.js";
import { Reads, type WaitingQuery } from "./reads.js";

export interface QueriesParts {
  readonly executor: Executor;
  readonly clock: Clock;
  readonly admission: AdmissionLimits;
  readonly toEngine: (message: ToEngine) => void;
  readonly answer: (connection: number, message: ReplicaMessage) => void;
  readonly isCongested: (connection: number) => boolean;
  readonly again: () => void;
  /** Counts a refusal that is about to be told. */
  readonly counted: (refusal: AdmissionRefusal) => AdmissionRefusal;
}

export type ClientQuery = Extract<ClientMessage, { readonly kind: "query" | "events" }>;

const nothing = new Uint8Array(0);

export class Queries {
  readonly #parts: QueriesParts;
  readonly #reads = new Reads();
  readonly #freshness = new Freshness();
  readonly #answers: QueryAnswers;
  readonly #waits: EventWaits;
  #executedIndex: LogIndex = noIndex;

  constructor(parts: QueriesParts) {
    this.#parts = parts;
    const { executor, clock, answer, isCongested } = parts;
    this.#waits = new EventWaits({ executor, clock, answer, isCongested });
    this.#answers = new QueryAnswers({
      executor,
      clock,
      answer,
      isCongested,
      ageMs: (now) => this.#freshness.ageMs(now),
      unproved: (query) => this.#askAgain(query),
    });
  }

  get count(): number {
    return this.#reads.count + this.#answers.heldCount;
  }

  /** Of their inputs. */
  get bytes(): number {
    return this.#reads.bytes + this.#answers.heldBytes;
  }

  /** Since start. */
  get answered(): number {
    return this.#answers.answered;
  }

  add(connection: number, query: ClientQuery, closed: AdmissionRefusal | undefined): void {
    const { admission, answer, clock, counted, again } = this.#parts;
    const { id } = query;
    const refusal =
      closed ??
      (query.kind === "events"
        ? this.#waits.ask(connection, query, admission.eventWaitsMax)
        : (overload(this.count, admission.queriesMax) ?? overload(this.bytes, admission.queriesBytesMax)));
    if (refusal !== undefined) return answer(connection, { kind: "queryRefused", id, refusal: counted(refusal) });
    if (query.kind === "events") return;
    const { name, input, read } = query;
    this.#await({ connection, id, name, input, read, since: clock.monotonic() });
    again();
  }

  /** Nobody waits here for events any more: others may have them. */
  stop(): void {
    this.#waits.stop({ code: "STOPPING" });
  }

  /** A barrier that was asked for since start has passed, and everything before it is executed. */
  get isCaughtUp(): boolean {
    return this.#freshness.ageMs(0) < Infinity;
  }

  /** Whatever waits is refused: what this replica has executed is of no use. */
  refuseAll(refusal: AdmissionRefusal): void {
    const { answer, counted } = this.#parts;
    for (const { connection, id } of [...this.#reads.takeAll(), ...this.#answers.takeAll()])
      answer(connection, { kind: "queryRefused", id, refusal: counted(refusal) });
    this.#waits.stop(refusal);
  }

  disconnected(connection: number): void {
    this.#waits.disconnected(connection);
    this.#answers.disconnected(connection);
  }

  drained(connection: number): void {
    this.#answers.drained(connection, this.#executedIndex);
    this.#waits.drained(connection);
  }

  /** In a turn, which ends with `answerReady`. */
  barrierPassed({ id, index, until }: Extract<ToHost, { readonly kind: "barrierPassed" }>): void {
    const askedAt = this.#reads.onPassed(id, index, until);
    if (askedAt === undefined) return;
    this.#freshness.note({ index, askedAt });
    this.#freshness.executed(this.#executedIndex);
  }

  barrierFailed(id: number): void {
    this.#reads.onFailed(id);
  }

  /** Time has passed, or another leads: barriers that failed may be asked again. */
  release(): void {
    this.#reads.release();
  }

  /** After what a turn executes. */
  answerReady(executedIndex: LogIndex): void {
    this.#executedIndex = executedIndex;
    this.#freshness.executed(executedIndex);
    this.#waits.executed();
    this.#answers.give(this.#reads.takeReady(executedIndex), executedIndex);
  }

  refuseLate(): void {
    const { clock, admission, answer, counted } = this.#parts;
    const now = clock.monotonic();
    for (const query of this.#reads.takeOlderThan(now - admission.queryMs)) {
      const refusal = counted(this.#lateness(query, now));
      answer(query.connection, { kind: "queryRefused", id: query.id, refusal });
    }
  }

  /** Who has waited for events as long as he wants to is answered behind a barrier: if with nothing, that is proved. */
  endWaits(): void {
    const { admission, clock } = this.#parts;
    const room = Math.max(0, admission.queriesMax - this.count);
    for (const { connection, message } of this.#waits.takeOver(room)) {
      const { id, question } = message;
      this.#reads.add({
        connection,
        id,
        name: question.name,
        input: nothing,
        read: { kind: "linearizable" },
        events: question,
        since: clock.monotonic(),
      });
    }
  }

  /** Somebody leads. */
  askBarriers(): void {
    const { clock, admission, toEngine } = this.#parts;
    const now = clock.monotonic();
    for (;;) {
      const barrier = this.#reads.nextBarrier(now, admission.renewMs);
      if (barrier === undefined) return;
      toEngine({ kind: "readBarrier", ...barrier });
    }
  }

  /** Each level waits for what it promises (docs/guides/reads.md). */
  #await(query: WaitingQuery): void {
    const { read } = query;
    switch (read.kind) {
      case "linearizable":
      case "lease":
        return this.#reads.add(query);
      case "atLeast":
        return this.#reads.addAt(read.index, query);
      case "maxStaleness":
        // Counted from when it came: a barrier that is asked for now proves more than enough, however long it takes.
        if (this.#freshness.ageMs(query.since) > read.ms) return this.#reads.add(query);
        return this.#reads.addAt(noIndex, query);
      case "local":
        return this.#reads.addAt(noIndex, query);
      default:
        return unreachable(read);
    }
  }

  #askAgain(query: WaitingQuery): void {
    this.#reads.add({ ...query, read: { kind: "linearizable" }, until: undefined });
    this.#parts.again();
  }

  /** Why a query is out of time. */
  #lateness({ read }: WaitingQuery, now: number): AdmissionRefusal {
    if (read.kind === "atLeast") return { code: "INDEX_NOT_REACHED", asked: read.index, executed: this.#executedIndex };
    if (read.kind === "maxStaleness") return { code: "TOO_STALE", ageMs: this.#freshness.ageMs(now), limitMs: read.ms };
    return { code: "NO_LEADER" };
  }
}
