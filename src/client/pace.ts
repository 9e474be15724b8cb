/**
 * How long to wait before trying again: exponential back-off with jitter (hazard F7).
 *
 * Owns: the count of failures in a row and the time of the next try. Called by everything in `client/` that retries.
 */
import { nextFraction, type Random } from "../base/random.js";
import type { ClientLimits } from "./limits.js";

/** Doubles from `backOffMs` to `backOffMsMax`, times a factor drawn from [0.5, 1.5). `failures` counts from 1. */
export function backOffDelay(limits: ClientLimits, failures: number, random: Random): number {
  const ceiling = Math.min(limits.backOffMsMax, limits.backOffMs * 2 ** Math.min(failures - 1, 30));
  return ceiling * (0.5 + nextFraction(random));
}

export class Pace {
  readonly #limits: ClientLimits;
  readonly #random: Random;
  #failures = 0;
  #resumeAt = 0;

  constructor(limits: ClientLimits, random: Random) {
    this.#limits = limits;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  get resumeAt(): number {
    return this.#resumeAt;
  }

  /** Held back, and nobody has noticed yet that the time is over. */
  get isWaiting(): boolean {
    return this.#resumeAt > 0;
  }

  isHeld(now: number): boolean {
    if (now >= this.#resumeAt) this.#resumeAt = 0;
    return this.#resumeAt > 0;
  }

  /** Holds everything back for a while. */
  hold(now: number): void {
    this.#failures += 1;
    this.#resumeAt = now + backOffDelay(this.#limits, this.#failures, this.#random);
  }

  /** Something was answered: the next refusal is the first again. */
  progressed(): void {
    this.#failures = 0;
  }

  /** Another replica is asked: what held us back was the last one's business. */
  release(): void {
    this.#resumeAt = 0;
  }
}
