/**
 * How much that turns out to be worthless one sender may make us look at (hazard B24).
 *
 * Owns: the arithmetic of a budget that fills up again with time. Who has used it up is not looked at until there is some again.
 */
export interface CreditSettings {
  /** Worthless messages at once. */
  readonly burst: number;
  /** Worthless messages a second, for ever. */
  readonly perSecond: number;
}

export class Credit {
  readonly #settings: CreditSettings;
  #left: number;
  /** Monotonic, in milliseconds. */
  #countedAt: number;

  constructor(settings: CreditSettings, now: number) {
    this.#settings = settings;
    this.#left = settings.burst;
    this.#countedAt = now;
  }

  hasSome(now: number): boolean {
    const { burst, perSecond } = this.#settings;
    this.#left = Math.min(burst, this.#left + ((now - this.#countedAt) * perSecond) / 1000);
    this.#countedAt = now;
    return this.#left >= 1;
  }

  /** What was under way when it ran out may bring it below nothing. */
  spend(now: number): void {
    this.hasSome(now);
    this.#left -= 1;
  }
}
