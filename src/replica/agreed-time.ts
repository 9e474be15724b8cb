/**
 * Offers the agreed time of the next entry from clocks that nobody trusts (hazard F9, C2).
 *
 * Owns: the bound on how fast agreed time may run. From the anchor (at first an entry and the monotonic moment at which this
 * replica saw it) the offer grows by at most the elapsed monotonic time, 5 % for correcting a clock that is behind, and a fixed
 * slack; so a wall clock that is an hour ahead does not expire an hour's worth of sessions. After a start nobody knows how long the
 * group was down, so the first anchor is the wall clock itself.
 */
import type { AgreedTime } from "../model/ids.js";

const slackMs = 500;
const correction = 1.05;

export class AgreedTimeSource {
  #anchorTime: AgreedTime | undefined;
  #anchorAt = 0;
  #last: AgreedTime;

  constructor(lastTime: AgreedTime) {
    this.#last = lastTime;
  }

  /** An entry of another leader was appended here: what this replica offers later grows from it. */
  observe(time: AgreedTime, monotonic: number): void {
    this.#last = Math.max(this.#last, time);
    this.#anchorTime = this.#last;
    this.#anchorAt = monotonic;
  }

  /** Whole milliseconds since 1970, never less than any time offered or observed before. */
  offer(wall: number, monotonic: number): AgreedTime {
    if (this.#anchorTime === undefined) {
      this.#anchorTime = Math.max(this.#last, wall);
      this.#anchorAt = monotonic;
    }
    // The anchor goes along, so that a correction which is not needed now is not saved up for a clock that jumps later.
    const passed = monotonic - this.#anchorAt;
    const needed = Math.max(this.#anchorTime + passed, wall - slackMs);
    this.#anchorTime = Math.min(this.#anchorTime + passed * correction, needed);
    this.#anchorAt = monotonic;
    this.#last = Math.max(this.#last, Math.min(wall, Math.floor(this.#anchorTime + slackMs)));
    return this.#last;
  }
}
