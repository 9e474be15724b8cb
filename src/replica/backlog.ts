/**
 * What the engine has handed over to be executed, and the host has not executed yet.
 *
 * Owns: its bytes, and since when its oldest part waits. Leaves to others: handing over, and what a host that stands still means. Called
 * by `engine.ts`.
 */
import type { LogIndex } from "../model/ids.js";

interface Delivered {
  readonly index: LogIndex;
  /** Of what the host still keeps. */
  bytes: number;
  readonly at: number;
}

export class Backlog {
  readonly #delivered: Delivered[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#delivered.length === 0;
  }

  /** How long its oldest part has waited. */
  waitsMs(now: number): number {
    const oldest = this.#delivered[0];
    return oldest === undefined ? 0 : now - oldest.at;
  }

  /** Up to `index`; `at` is monotonic, in milliseconds. */
  add(delivered: Delivered): void {
    this.#delivered.push(delivered);
    this.#bytes += delivered.bytes;
  }

  /** All of it is delivered again. */
  clear(): void {
    this.#delivered.length = 0;
    this.#bytes = 0;
  }

  /** The host keeps none of it up to here, and waits as before. */
  letGo(index: LogIndex): void {
    for (const delivered of this.#delivered) {
      if (delivered.index > index) break;
      this.#bytes -= delivered.bytes;
      delivered.bytes = 0;
    }
  }

  executedUpTo(index: LogIndex): void {
    let done = 0;
    for (const { index: last, bytes } of this.#delivered) {
      if (last > index) break;
      this.#bytes -= bytes;
      done += 1;
    }
    this.#delivered.splice(0, done);
  }
}
