/**
 * Keeps the client core's time: calls `tick` when the core wants it, and no more often.
 *
 * Owns: one timer. Leaves to others: what happens then. Used by `networked-client.ts` and `node/create-door.ts` after
 * each input.
 */
import type { ClientCore } from "./client-core.js";
import type { CancelTimer, Clock } from "../ports/clock.js";

export class ClientTurns {
  readonly #core: ClientCore;
  readonly #clock: Clock;
  readonly #closed: () => void;
  #armedFor = Infinity;
  #cancel: CancelTimer = () => {};

  /** `closed` is called after each input of a core that is closed. */
  constructor(core: ClientCore, clock: Clock, closed: () => void) {
    this.#core = core;
    this.#clock = clock;
    this.#closed = closed;
  }

  /** After an input: a timer that is due earlier than needed is left alone, since it arms itself again. */
  arm(): void {
    if (this.#core.phase === "closed") {
      this.#cancel();
      return this.#closed();
    }
    const wakeAt = this.#core.wakeAt();
    if (wakeAt >= this.#armedFor) return;
    this.#cancel();
    this.#armedFor = wakeAt;
    // A timer may fire a fraction of a millisecond early.
    this.#cancel = this.#clock.after(Math.max(0, Math.ceil(wakeAt - this.#clock.monotonic())), () => this.#fire());
  }

  #fire(): void {
    this.#armedFor = Infinity;
    this.#core.tick(this.#clock.monotonic());
    this.arm();
  }
}
