/**
 * The fingerprint of a table whose things are in the order of their last use (`age-order.ts`).
 *
 * Owns: the sum. A thing is changed only behind an `append` or a `makeNewest`, so what changed since the last look is the newer end of the
 * order; it is mixed again as it lies in memory, and nothing else is. The order itself is not covered: checkpoints compare it. Called by
 * the two tables of this folder.
 */
import { FingerprintSum, Mixer, type Fingerprint } from "../base/fingerprint.js";
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
    return this.#sum;
  }

  /** The newest, which a codec has just read: it is counted in this step, and not with all others at the first position. */
  restored(thing: Thing): void {
    this.#count(thing);
    this.#seen = thing.stamp;
  }

  /** For good. */
  removed({ countedHigh, countedLow }: Thing): void {
    this.#sum.remove({ high: countedHigh, low: countedLow });
  }

  #count(thing: Thing): void {
    this.#mixer.begin();
    this.#mix(this.#mixer, thing);
    const { high, low } = this.#mixer.end();
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
