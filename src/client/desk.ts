/**
 * What the sides of the core share: sending over the present link, answering those who wait, counting.
 *
 * Owns: the counters, and the queue of answers that are given at the end of an input, when the state is whole again. Used by
 * `command-side.ts`, `query-side.ts` and `resolve-side.ts`; held by `client-core.ts`.
 */
import type { ClientMessage } from "../model/request.js";
import type { Completion } from "./outcome.js";

/** Since the client began. */
export interface ClientCounters {
  commands: number;
  queries: number;
  /** Commands and queries sent more than once. */
  retries: number;
  /** Requests that closed the number of a command given up. */
  resolves: number;
  sessionsOpened: number;
  sessionsLost: number;
  /** Answers to what nobody waits for any more. */
  lateAnswers: number;
  /** Refusals by replicas, by code. */
  readonly refusals: Map<string, number>;
}

export class Desk {
  readonly counters: ClientCounters = {
    commands: 0,
    queries: 0,
    retries: 0,
    resolves: 0,
    sessionsOpened: 0,
    sessionsLost: 0,
    lateAnswers: 0,
    refusals: new Map(),
  };
  /** Over the present link, which is ready. */
  readonly send: (message: ClientMessage) => void;
  /** Who waited, and beside it what it is answered. */
  #completions: Completion<unknown>[] = [];
  #outcomes: unknown[] = [];

  constructor(send: (message: ClientMessage) => void) {
    this.send = send;
  }

  answer<Outcome>(completion: Completion<Outcome>, outcome: Outcome): void {
    this.#completions.push(completion);
    this.#outcomes.push(outcome);
  }

  countRefusal(code: string): void {
    this.counters.refusals.set(code, (this.counters.refusals.get(code) ?? 0) + 1);
  }

  /** The last thing that an input does: whoever is answered may call the core again. */
  giveAnswers(): void {
    while (this.#completions.length > 0) {
      const completions = this.#completions;
      const outcomes = this.#outcomes;
      this.#completions = [];
      this.#outcomes = [];
      completions.forEach((completion, at) => completion.settle(outcomes[at]));
    }
  }
}
