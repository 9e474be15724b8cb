/**
 * When a leader proposes an entry only to move the agreed time on.
 *
 * Owns: the pace. The state says from when on it wants an entry; asked again and again while agreed time cannot follow the wall clock
 * (it is bounded, see `agreed-time.ts`), it is answered at most once a second. Called by `replica/host.ts`.
 */
import type { AgreedTime } from "../model/ids.js";

const repeatMs = 1000;

export class DueTime {
  #askedFor: AgreedTime | undefined;
  #askedAt = 0;

  isDue(dueAt: AgreedTime | undefined, wall: number, monotonic: number): boolean {
    if (dueAt === undefined || dueAt > wall) return false;
    if (this.#askedFor === dueAt && monotonic - this.#askedAt < repeatMs) return false;
    this.#askedFor = dueAt;
    this.#askedAt = monotonic;
    return true;
  }
}
