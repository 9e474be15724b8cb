/**
 * The time that a PBFT primary gives its proposals, and what backups take of it (C2).
 *
 * Owns: the bound. A proposal's time may be as far from a backup's own clock as the bound says, or be one that was agreed on before: so a
 * lying primary moves agreed time by that much at most, and correct replicas' clocks must be as close to each other. Leaves to others: that
 * agreed time never goes back, which follows from the order (`bft-driver.ts`). What a new view proposes again is not looked at: it was.
 */
import type { AgreedTime } from "../model/ids.js";

export class ProposalTime {
  readonly #boundMs: number;
  #last: AgreedTime;

  constructor(boundMs: number, last: AgreedTime) {
    this.#boundMs = boundMs;
    this.#last = last;
  }

  /** Proposed by this replica, or agreed on. */
  observe(time: AgreedTime): void {
    this.#last = Math.max(this.#last, time);
  }

  /** Whole milliseconds since 1970, never less than any time that was observed. */
  offer(wall: number): AgreedTime {
    this.observe(Math.floor(wall));
    return this.#last;
  }

  isNear(time: AgreedTime, wall: number): boolean {
    return time >= wall - this.#boundMs && time <= Math.max(wall + this.#boundMs, this.#last);
  }
}
