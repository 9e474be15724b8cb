/**
 * Queries: reads without effect, in no order among themselves, asked again freely until their time is over.
 *
 * Owns: the queries that wait or are in flight, and their ids. Leaves to others: what a query means, the choice of a replica.
 * Called by `client-core.ts`.
 *
 * Invariant A5: each try has an id of its own, and an answer counts only for the try that is asked now (hazard L4: an answer to
 * an earlier try may be older than the question's repetition).
 */
import { invariant } from "../base/invariant.js";
import type { AdmissionRefusal, QueryOutcome } from "../model/request.js";
import type { LogIndex } from "../model/ids.js";
import type { Random } from "../base/random.js";
import type { Desk } from "./desk.js";
import type { ClientLimits } from "./limits.js";
import type { AskRefusal, QueryAsk } from "./outcome.js";
import { backOffDelay } from "./pace.js";
import { remedyFor } from "./refusals.js";

export class PendingQuery {
  readonly ask: QueryAsk;
  readonly askedAt: number;
  /** Of the try in flight; undefined while none is. */
  id: number | undefined;
  /** When the try in flight was sent, or when the replica has waited as long as it may. */
  sentAt = 0;
  /** Not tried before this time. */
  retryAt = 0;
  failures = 0;
  refusal: AskRefusal | undefined;
  isDone = false;

  constructor(ask: QueryAsk, now: number) {
    this.ask = ask;
    this.askedAt = now;
  }
}

export interface QueryReply {
  readonly id: number;
  readonly index: LogIndex;
  readonly ageMs: number;
  readonly outcome: QueryOutcome;
}

export class QuerySide {
  readonly #desk: Desk;
  readonly #limits: ClientLimits;
  readonly #random: Random;
  #lastId = 0;
  readonly #inFlight = new Map<number, PendingQuery>();
  /** In the order of the calls, as far as retries leave it. */
  #unsent: PendingQuery[] = [];
  /** No try in flight was sent before this time. */
  #oldestSentAt = Infinity;

  constructor(desk: Desk, limits: ClientLimits, random: Random) {
    this.#desk = desk;
    this.#limits = limits;
    this.#random = random;
  }

  get count(): number {
    return this.#inFlight.size + this.#unsent.length;
  }

  add(query: PendingQuery): void {
    this.#unsent.push(query);
  }

  /** Sends what may be sent. The link is ready. */
  pump(now: number): void {
    if (this.#unsent.length === 0) return;
    const later: PendingQuery[] = [];
    for (const query of this.#unsent) {
      if (query.isDone) continue;
      if (query.retryAt > now) later.push(query);
      else this.#send(query, now);
    }
    this.#unsent = later;
  }

  onReply({ id, index, ageMs, outcome }: QueryReply): boolean {
    const query = this.#take(id);
    if (query === undefined) return false;
    query.isDone = true;
    this.#desk.answer(query.ask.completion, { status: "answered", outcome, index, ageMs });
    return true;
  }

  /** Answers the remedy, so that the core may ask elsewhere. */
  onRefused(id: number, refusal: AdmissionRefusal, now: number): "final" | "later" | "elsewhere" {
    const query = this.#take(id);
    if (query === undefined) return "final";
    query.failures += 1;
    query.refusal = refusal;
    const remedy = remedyFor(refusal, query.failures);
    if (remedy === "final") {
      this.refuse(query, refusal);
      return remedy;
    }
    query.retryAt = now + backOffDelay(this.#limits, query.failures, this.#random);
    this.#unsent.push(query);
    return remedy;
  }

  /** The link is gone, and answers with it. */
  loseTries(): void {
    const lost = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#oldestSentAt = Infinity;
    for (const query of lost) {
      query.id = undefined;
      query.retryAt = 0;
    }
    // Another replica is asked at once, whatever the last one said.
    for (const query of this.#unsent) query.retryAt = 0;
    this.#unsent = [...lost, ...this.#unsent];
  }

  /** Gives up tries that nobody answers; answers whether there were any. */
  dropStalled(now: number, attemptMs: number): boolean {
    if (now < this.#oldestSentAt + attemptMs) return false;
    this.#oldestSentAt = Infinity;
    let stalled = false;
    for (const [id, query] of this.#inFlight) {
      if (now >= query.sentAt + attemptMs) {
        this.#inFlight.delete(id);
        query.id = undefined;
        this.#unsent.push(query);
        stalled = true;
      } else this.#oldestSentAt = Math.min(this.#oldestSentAt, query.sentAt);
    }
    return stalled;
  }

  /** Refuses what is out of time; answers the earliest deadline of the others. */
  expire(now: number, refusalOf: (askedAt: number, last: AskRefusal | undefined) => AskRefusal): number {
    let earliest = Infinity;
    for (const query of this.#all()) {
      if (query.ask.deadline > now) earliest = Math.min(earliest, query.ask.deadline);
      else this.#finish(query, refusalOf(query.askedAt, query.refusal));
    }
    this.#unsent = this.#unsent.filter(({ isDone }) => !isDone);
    return earliest;
  }

  refuseAll(refusal: AskRefusal): void {
    for (const query of this.#all()) this.#finish(query, refusal);
    this.#unsent = [];
  }

  /** Nobody ends a wait for events but who began it. */
  refuseEvents(refusal: AskRefusal): void {
    for (const query of this.#all()) if (query.ask.events !== undefined) this.refuse(query, refusal);
  }

  refuse(query: PendingQuery, refusal: AskRefusal): void {
    if (query.isDone) return;
    this.#finish(query, refusal);
    this.#unsent = this.#unsent.filter(({ isDone }) => !isDone);
  }

  /** When something is to be done, given that a link is ready. */
  wakeAt(attemptMs: number): number {
    let earliest = this.#inFlight.size === 0 ? Infinity : this.#oldestSentAt + attemptMs;
    for (const query of this.#unsent) earliest = Math.min(earliest, query.retryAt);
    return earliest;
  }

  #send(query: PendingQuery, now: number): void {
    this.#lastId += 1;
    if (query.sentAt > 0) this.#desk.counters.retries += 1;
    query.id = this.#lastId;
    invariant(!this.#inFlight.has(query.id), "A5 each try of a query has an id of its own");
    const { name, input, read, events } = query.ask;
    // A replica that waits for an event is silent, and not stalled.
    query.sentAt = now + (events?.waitMs ?? 0);
    if (this.#inFlight.size === 0 || query.sentAt < this.#oldestSentAt) this.#oldestSentAt = query.sentAt;
    this.#inFlight.set(query.id, query);
    if (events === undefined) {
      this.#desk.send({ kind: "query", id: query.id, name, input, read });
      return;
    }
    const { from, countMax, waitMs } = events;
    this.#desk.send({ kind: "events", id: query.id, question: { name, from, countMax }, waitMs });
  }

  #finish(query: PendingQuery, refusal: AskRefusal): void {
    query.isDone = true;
    if (query.id !== undefined) this.#inFlight.delete(query.id);
    this.#desk.answer(query.ask.completion, { status: "refused", refusal });
  }

  #take(id: number): PendingQuery | undefined {
    const query = this.#inFlight.get(id);
    if (query === undefined) {
      this.#desk.counters.lateAnswers += 1;
      return undefined;
    }
    this.#inFlight.delete(id);
    query.id = undefined;
    return query;
  }

  #all(): PendingQuery[] {
    return [...this.#inFlight.values(), ...this.#unsent];
  }
}
