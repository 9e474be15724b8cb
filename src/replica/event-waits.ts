/**
 * Clients that follow events and wait for the next ones.
 *
 * Owns: the questions that wait until there is something to answer or their time is over. Every replica answers from its own executed state:
 * a client names the position that it wants, so one that lags answers with nothing, and never sends anybody back (hazard C8).
 * Leaves to others: which events there are (`execution/`). Called by `queries.ts`.
 */
import { overload } from "../admission/pressure.js";
import type { Executor } from "../execution/executor.js";
import { noIndex, type LogIndex } from "../model/ids.js";
import type { EventsQuestion } from "../model/events.js";
import type { AdmissionRefusal, ClientMessage, QueryOutcome, ReplicaMessage } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import { outcomeOfEvents } from "../wire/events-codec.js";

export type EventsMessage = Extract<ClientMessage, { readonly kind: "events" }>;

export interface EventWaitsParts {
  readonly executor: Executor;
  readonly clock: Clock;
  /** More waits to be sent to this connection than it should: it is answered later. */
  readonly isCongested: (connection: number) => boolean;
  readonly answer: (connection: number, message: ReplicaMessage) => void;
}

export interface Wait {
  readonly connection: number;
  readonly message: EventsMessage;
  /** Monotonic milliseconds. */
  readonly until: number;
}

interface Answer {
  readonly isEmpty: boolean;
  readonly outcome: QueryOutcome;
}

type Answers = Map<string, Answer>;

const nobody: readonly Wait[] = [];

/** Whoever wants to wait longer asks again. */
const waitMsMax = 30_000;

export class EventWaits {
  readonly #parts: EventWaitsParts;
  readonly #waiting = new Map<number, Map<number, Wait>>();
  #count = 0;
  /** Nobody's time is over before. */
  #overAt = Infinity;
  /** When those who wait were looked at last: of the executor, and of the machine. */
  #executedIndex: LogIndex = noIndex;
  #emitted = 0;

  constructor(parts: EventWaitsParts) {
    this.#parts = parts;
  }

  /** Answers at once if there is something. Answers why not, if no more may wait. */
  ask(connection: number, message: EventsMessage, countMax: number): AdmissionRefusal | undefined {
    const until = this.#parts.clock.monotonic() + Math.min(message.waitMs, waitMsMax);
    const wait: Wait = { connection, message, until };
    if (this.#tell(wait, new Map())) return undefined;
    const refusal = overload(this.#count, countMax);
    if (refusal !== undefined) return refusal;
    const waits = this.#waiting.get(connection) ?? new Map<number, Wait>();
    this.#waiting.set(connection, waits);
    if (!waits.has(message.id)) this.#count += 1;
    waits.set(message.id, wait);
    this.#overAt = Math.min(this.#overAt, until);
    return undefined;
  }

  /** Entries were executed. */
  executed(): void {
    const { executor } = this.#parts;
    if (this.#count === 0 || executor.executedIndex === this.#executedIndex) return;
    this.#executedIndex = executor.executedIndex;
    const emitted = executor.machineStatistics?.eventsEmitted ?? 0;
    if (emitted === this.#emitted) return;
    this.#emitted = emitted;
    const answers: Answers = new Map();
    for (const wait of this.#all()) if (this.#tell(wait, answers)) this.#remove(wait);
  }

  /**
   * Whose time is over, as far as there is room. They are answered like queries, behind a read barrier: so an empty answer proves that there was nothing, and a replica that
   * is cut off or stuck keeps nobody.
   */
  takeOver(most: number): readonly Wait[] {
    const now = this.#parts.clock.monotonic();
    if (this.#count === 0 || now < this.#overAt) return nobody;
    const over = [...this.#all()].filter(({ until }) => until <= now).slice(0, most);
    for (const wait of over) this.#remove(wait);
    this.#overAt = Infinity;
    for (const { until } of this.#all()) this.#overAt = Math.min(this.#overAt, until);
    return over;
  }

  drained(connection: number): void {
    const answers: Answers = new Map();
    for (const wait of this.#waiting.get(connection)?.values() ?? []) if (this.#tell(wait, answers)) this.#remove(wait);
  }

  disconnected(connection: number): void {
    this.#count -= this.#waiting.get(connection)?.size ?? 0;
    this.#waiting.delete(connection);
  }

  /** This replica answers nobody any more, or not for a while. */
  stop(refusal: AdmissionRefusal): void {
    for (const wait of [...this.#all()]) {
      this.#remove(wait);
      this.#parts.answer(wait.connection, { kind: "queryRefused", id: wait.message.id, refusal });
    }
  }

  *#all(): Iterable<Wait> {
    for (const waits of this.#waiting.values()) yield* waits.values();
  }

  #remove({ connection, message }: Wait): void {
    const waits = this.#waiting.get(connection);
    if (waits?.delete(message.id) === true) this.#count -= 1;
    if (waits?.size === 0) this.#waiting.delete(connection);
  }

  /** False if there is nothing to tell yet. */
  #tell({ connection, message }: Wait, answers: Answers): boolean {
    const { executor, answer, isCongested } = this.#parts;
    if (isCongested(connection)) return false;
    const { id, question } = message;
    const found = this.#answerTo(question, answers);
    if (found === "unknown") {
      const refusal: AdmissionRefusal = { code: "UNKNOWN_COMMAND", name: question.name };
      answer(connection, { kind: "queryRefused", id, refusal });
      return true;
    }
    if (found.isEmpty) return false;
    answer(connection, { kind: "queryReply", id, index: executor.executedIndex, ageMs: 0, outcome: found.outcome });
    return true;
  }

  /** Most who wait have read everything, and ask the same. */
  #answerTo(question: EventsQuestion, answers: Answers): Answer | "unknown" {
    const { name, from, countMax } = question;
    const key = `${from?.index}.${from?.ordinal}.${from?.sequence} ${countMax} ${name}`;
    const known = answers.get(key);
    if (known !== undefined) return known;
    const found = this.#parts.executor.events(question);
    if (found === undefined) return "unknown";
    const isEmpty = found.kind === "page" && found.events.length === 0;
    const answer: Answer = { isEmpty, outcome: outcomeOfEvents(found) };
    answers.set(key, answer);
    return answer;
  }
}
