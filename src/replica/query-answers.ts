/**
 * Runs queries whose time has come, no faster than their clients read the answers.
 *
 * Owns: the queries held back because too much waits to be sent to their connection already (hazard F1). They run later, on a later
 * state, which is as good for every level; and the look at the clock after a read that a lease allowed. Leaves to others: when a query's time has come (`reads.ts`). Called by `queries.ts`.
 */
import type { Executor } from "../execution/executor.js";
import type { LogIndex } from "../model/ids.js";
import type { ReplicaMessage } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import { outcomeOfEvents } from "../wire/events-codec.js";
import type { WaitingQuery } from "./reads.js";

export interface QueryAnswersParts {
  readonly executor: Pick<Executor, "events" | "query">;
  /** More waits to be sent to this connection than it should. */
  readonly isCongested: (connection: number) => boolean;
  readonly answer: (connection: number, message: ReplicaMessage) => void;
  readonly clock: Pick<Clock, "monotonic">;
  /** How old what is executed may be now, in milliseconds. */
  readonly ageMs: (now: number) => number;
  /** What proved this query's answer has ended before the answer was there. */
  readonly unproved: (query: WaitingQuery) => void;
}

export class QueryAnswers {
  readonly #parts: QueryAnswersParts;
  readonly #held = new Map<number, WaitingQuery[]>();
  #heldCount = 0;
  #heldBytes = 0;
  #answered = 0;

  constructor(parts: QueryAnswersParts) {
    this.#parts = parts;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /** Of inputs. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Since start. */
  get answered(): number {
    return this.#answered;
  }

  /** Answers now, from the state executed up to `index`, or holds what its client cannot take yet. */
  give(queries: readonly WaitingQuery[], index: LogIndex): void {
    for (const query of queries) {
      const held = this.#held.get(query.connection);
      if (held === undefined && !this.#parts.isCongested(query.connection)) {
        this.#answer(query, index);
        continue;
      }
      this.#heldCount += 1;
      this.#heldBytes += query.input.length;
      if (held === undefined) this.#held.set(query.connection, [query]);
      else held.push(query);
    }
  }

  /** The connection takes more now. */
  drained(connection: number, index: LogIndex): void {
    const held = this.#take(connection);
    if (held.length > 0) this.give(held, index);
  }

  disconnected(connection: number): void {
    this.#take(connection);
  }

  /** What is held back is not answered: it is given back. */
  takeAll(): readonly WaitingQuery[] {
    return [...this.#held.keys()].flatMap((connection) => this.#take(connection));
  }

  #take(connection: number): readonly WaitingQuery[] {
    const held = this.#held.get(connection) ?? [];
    this.#held.delete(connection);
    this.#heldCount -= held.length;
    for (const { input } of held) this.#heldBytes -= input.length;
    return held;
  }

  #answer(query: WaitingQuery, index: LogIndex): void {
    const { executor, clock, ageMs, answer, unproved } = this.#parts;
    const { connection, id, name, input, events, until } = query;
    const found = events === undefined ? undefined : executor.events(events);
    const outcome = found === undefined ? executor.query(name, input) : outcomeOfEvents(found);
    const now = clock.monotonic();
    // This process may have stood still since the lease was looked at, and others gone on (hazard L3).
    if (until !== undefined && now >= until) return unproved(query);
    this.#answered += 1;
    answer(connection, { kind: "queryReply", id, index, ageMs: ageMs(now), outcome });
  }
}
