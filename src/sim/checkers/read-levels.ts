/**
 * What a query's level promises beside the order: indexes, ages, and never going back.
 *
 * Owns: rules V18 to V20, and which levels must see everything that had ended (V10). Leaves to others: that the answer is what the state
 * at its index says (V11, `client-judge.ts`). Called for each answer.
 */
import type { Operation } from "../operation.js";
import type { Decided } from "./order-judge.js";
import { must } from "./violation.js";

export interface Answered {
  readonly index: number;
  readonly ageMs: number;
}

/** Its place is behind everything that had ended before it began. */
export function seesEverything({ kind, read }: Operation): boolean {
  return kind === "command" || read.kind === "linearizable" || read.kind === "lease";
}

export class ReadJudge {
  readonly #decided: readonly Decided[];
  /** Ages are read from clocks that may be as slow as this. */
  readonly #slowestClock: number;
  /** By client and connection: the highest index that was answered. */
  readonly #highest = new Map<string, number>();

  constructor(decided: readonly Decided[], slowestClock: number) {
    this.#decided = decided;
    this.#slowestClock = slowestClock;
  }

  check(operation: Operation, { index, ageMs }: Answered, name: string): void {
    const { read, client, link } = operation;
    if (read.kind === "atLeast") {
      must(index >= read.index, "V18", () => `${name} asks for entry ${read.index} and is answered from ${index}`);
    }
    this.#checkAge(operation, { index, ageMs }, name);
    if (read.kind === "maxStaleness") this.#checkAge(operation, { index, ageMs: read.ms }, name);
    const key = `${client} ${link}`;
    const highest = this.#highest.get(key) ?? 0;
    must(
      index >= highest,
      "V20",
      () => `${name} is answered from ${index}, and the same process had answered from ${highest}`,
    );
    this.#highest.set(key, index);
  }

  /** The state was the newest until the entry after it was decided; the replica answered after the call began. */
  #checkAge({ calledAt }: Operation, { index, ageMs }: Answered, name: string): void {
    const next = this.#decided[index];
    if (next === undefined) return;
    const since = calledAt - ageMs / this.#slowestClock;
    must(next.at >= since, "V19", () => {
      return `${name} is answered from ${index} as ${ageMs} ms old at most, and entry ${next.entry.index} was decided ${Math.round(calledAt - next.at)} ms before the call`;
    });
  }
}
