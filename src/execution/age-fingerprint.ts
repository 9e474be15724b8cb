/**
 * The fingerprint of a table whose things are in the order of their last use (`age-order.ts`).
 *
 * Owns: the sum, and looking at everything again (a scrub). A thing is changed only behind an `append` or a `makeNewest`, so what changed since the last look is the newer end of the
 * order; it is mixed again as it lies in memory, and nothing else is. The order itself is not covered: checkpoints compare it. Called by
 * the two tables of this folder.
 */
import { equalFingerprints, FingerprintSum, Mixer, type Fingerprint } from "../base/fingerprint.js";
import type { Steps } from "../base/steps.js";
import type { Reply } from "../model/request.js";
import { encodeReply } from "../wire/reply-codec.js";
import type { Aged, AgeOrder } from "./age-order.js";
import { settledReply, type Kept } from "./replies.js";

/** What a thing counts for in the sum at present. */
export interface Counted {
  countedHigh: number;
  countedLow: number;
}

export class AgeFingerprint<Thing extends Aged<Thing> & Counted> {
  readonly #mix: (mixer: Mixer, thing: Thing) => void;
  readonly #mixer = new Mixer();
  readonly #sum = new FingerprintSum();
  /** Of the newest thing at the last look: that one may be changed again where it is. */
  #seen = 0;
  /** Of the order, at the last look. */
  #seenUses = 0;

  constructor(mix: (mixer: Mixer, thing: Thing) => void) {
    this.#mix = mix;
  }

  /** Of everything in the order now. Not while an entry is being executed. */
  of(order: AgeOrder<Thing>): Fingerprint {
    for (let thing = order.newest; thing !== undefined && thing.stamp >= this.#seen; thing = thing.older) {
      this.removed(thing);
      this.#count(thing);
    }
    this.#seen = order.newest?.stamp ?? 0;
    this.#seenUses = order.uses;
    return this.#sum;
  }

  /** The newest, which a codec has just read: it is counted in this step, and not with all others at the first position. */
  restored(order: AgeOrder<Thing>, thing: Thing): void {
    this.#count(thing);
    this.#seen = thing.stamp;
    this.#seenUses = order.uses;
  }

  /** For good. */
  removed({ countedHigh, countedLow }: Thing): void {
    this.#sum.remove({ high: countedHigh, low: countedLow });
  }

  /**
   * Looks at each thing of the order again, one in a step: whether all are what they were when they were counted. `things` goes on while
   * they come and go, as the iterator of a map does; what comes meanwhile is left for the next time.
   */
  *scrubbing(order: AgeOrder<Thing>, things: ReadonlyMap<unknown, Thing>): Steps<boolean> {
    let left = things.size;
    for (const thing of things.values()) {
      if (this.#isCounted(order, thing) && !this.#isIntact(thing)) return false;
      left -= 1;
      if (left <= 0) break;
      yield;
    }
    return true;
  }

  /** What was used since the last look has yet to be counted, as it lies in memory then. */
  #isCounted(order: AgeOrder<Thing>, { stamp }: Thing): boolean {
    return stamp < this.#seen || (stamp === this.#seen && order.uses === this.#seenUses);
  }

  #isIntact(thing: Thing): boolean {
    return equalFingerprints(this.#mixed(thing), { high: thing.countedHigh, low: thing.countedLow });
  }

  #mixed(thing: Thing): Fingerprint {
    this.#mix(this.#mixer.begin(), thing);
    return this.#mixer.end();
  }

  #count(thing: Thing): void {
    const { high, low } = this.#mixed(thing);
    thing.countedHigh = high;
    thing.countedLow = low;
    this.#sum.add({ high, low });
  }
}

export function mixKept(mixer: Mixer, kept: Kept): void {
  mixReply(mixer, settledReply(kept));
}

/** Of everything that a client is told. */
export function mixReply(mixer: Mixer, reply: Reply): void {
  // By far the most replies are of this kind.
  if (reply.status === "ok")
    mixer
      .word(1)
      .bytes(reply.output)
      .number(reply.expiresAt ?? -1);
  else mixer.word(2).bytes(encodeReply(reply));
}
