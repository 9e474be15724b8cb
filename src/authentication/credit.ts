/**
 * How much one sender may make us look at (hazard B24).
 *
 * Owns: the arithmetic of a budget that fills up again with time. Who has used it up is not looked at until there is some again.
 */
export interface CreditSettings {
  /** At once. */
  readonly burst: number;
  /** For ever. */
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

  /** May bring it below nothing: what a thing costs is known when it was looked at. */
  spend(now: number, amount = 1): void {
    this.hasSome(now);
    this.#left -= amount;
  }
}
