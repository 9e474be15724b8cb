/**
 * Drawing from one named stream, in the words of those who draw.
 *
 * Owns: the distributions. Called by everything in `sim/` that chooses, and by users' workloads.
 */
import { nextFraction, type Random } from "../base/random.js";

export class Draw {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** In [0, 1). */
  fraction(): number {
    return nextFraction(this.#random);
  }

  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.fraction() * items.length)];
    if (item === undefined && items.length === 0) throw new RangeError("Cannot pick: there is nothing to pick from");
    return item as Item;
  }

  /** From `min` to `max`, each doubling as likely as any other: short ones are common, long ones occur. No power: its last bits differ between engines. */
  spread(min: number, max: number): number {
    let doublings = 0;
    for (let reach = min; reach < max && doublings < 64; reach *= 2) doublings += 1;
    let from = min;
    for (let left = this.between(0, Math.max(0, doublings - 1)); left > 0; left -= 1) from *= 2;
    return from + (Math.min(2 * from, max) - from) * this.fraction();
  }
}
