/**
 * Keeps the client core's time: calls `tick` when the core wants it, and no more often.
 *
 * Owns: one timer. Leaves to others: what happens then. Used by `create-client.ts` and `create-door.ts` after each input.
 */
import type { ClientCore } from "../client/client-core.js";
import type { CancelTimer, Clock } from "../ports/clock.js";

export class ClientTurns {
  readonly #core: ClientCore;
  readonly #clock: Clock;
  #armedFor = Infinity;
  #cancel: CancelTimer = () => {};

  constructor(core: ClientCore, clock: Clock) {
    this.#core = core;
    this.#clock = clock;
  }

  /** After an input: a timer that is due earlier than needed is left alone, since it arms itself again. */
  arm(): void {
    const wakeAt = this.#core.wakeAt();
    if (wakeAt >= this.#armedFor) return;
    this.#cancel();
    this.#armedFor = wakeAt;
    // A timer may fire a fraction of a millisecond early.
    this.#cancel = this.#clock.after(Math.max(0, Math.ceil(wakeAt - this.#clock.monotonic())), () => this.#fire());
  }

  stop(): void {
    this.#cancel();
    this.#armedFor = -Infinity;
  }

  #fire(): void {
    this.#armedFor = Infinity;
    this.#core.tick(this.#clock.monotonic());
    this.arm();
  }
}
