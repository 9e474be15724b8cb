/**
 * How old what this replica has executed may be: time since a moment at which it surely was the newest there was.
 *
 * Owns: those moments. A read barrier asked at t passes with an index; once that is executed, the state reflects everything that was
 * answered before t, whoever led then and however long messages took. Both ends are read from this replica's own monotonic clock, so
 * no clock is compared with another's, and the way to the leader and back counts as age. Called by `queries.ts`.
 */
import type { LogIndex } from "../model/ids.js";

interface Proof {
  readonly index: LogIndex;
  readonly askedAt: number;
}

/** Proofs that wait for execution: enough, since any of them is as good as it is young. */
const comingMax = 16;

export class Freshness {
  #provenAt = -Infinity;
  readonly #coming: Proof[] = [];

  note(proof: Proof): void {
    // The first is reached soonest and the newest is worth most.
    if (this.#coming.length >= comingMax) this.#coming.pop();
    this.#coming.push(proof);
  }

  executed(upTo: LogIndex): void {
    for (let at = this.#coming.length - 1; at >= 0; at -= 1) {
      const proof = this.#coming[at];
      if (proof === undefined || proof.index > upTo) continue;
      this.#provenAt = Math.max(this.#provenAt, proof.askedAt);
      this.#coming.splice(at, 1);
    }
  }

  /** Whole milliseconds, rounded up; infinite if nothing has been proved since this process started. */
  ageMs(now: number): number {
    return Math.ceil(now - this.#provenAt);
  }
}
