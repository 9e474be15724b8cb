/**
 * Whether the next entry waits for those whose requests were just executed, where entries are dear: they may have more to ask at once, and
 * what waits already would go without them, so that two halves of all clients take turns and each entry holds half of what it could.
 *
 * Owns: for how many it waits, and for how long: never longer than the entry before took, and the less often the more often nobody comes. Leaves to others: which entry goes out (`intake.ts`, which calls this). Times are monotonic, in milliseconds.
 */

/** So many of those who were answered are back: the last are not worth waiting for. */
const share = 3 / 4;
/** Of the time from proposing an entry to executing it. */
const part = 3 / 4;
const waitMsMax = 250;
/** After one that waited in vain one entry goes at once, after another three, then seven, and so many at most. */
const passedOverMax = 63;

export class Company {
  /** Undefined: the next entry waits for nobody. */
  #expected: number | undefined;
  #waitMs = 0;
  /** Since something waits. */
  #until: number | undefined;
  #inVain = 0;
  #passOver = 0;

  /** An entry is executed and no other is on its way; `waiting` requests are here for the next. */
  executed(entry: { readonly requests: number; readonly proposedAt: number }, waiting: number, now: number): void {
    this.reset();
    if (this.#passOver > 0) {
      this.#passOver -= 1;
      return;
    }
    this.#expected = waiting + Math.ceil(entry.requests * share);
    this.#waitMs = Math.min(waitMsMax, (now - entry.proposedAt) * part);
  }

  /** Until when so many, one at least, wait for others; undefined: they go. */
  awaited(waiting: number, now: number): number | undefined {
    if (this.#expected === undefined) return undefined;
    const isComplete = waiting >= this.#expected;
    this.#until ??= now + this.#waitMs;
    if (!isComplete && now < this.#until) return this.#until;
    this.reset();
    this.#inVain = isComplete ? 0 : this.#inVain + 1;
    this.#passOver = Math.min(passedOverMax, 2 ** this.#inVain - 1);
    return undefined;
  }

  /** Another leader, or another term. */
  reset(): void {
    this.#expected = undefined;
    this.#until = undefined;
  }
}
