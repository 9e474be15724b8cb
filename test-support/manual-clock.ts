/** A clock that moves only when a test says so; turn ends run when asked for. */
import type { Clock } from "../src/ports/clock.js";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

export class ManualClock implements Clock {
  #now = 0;
  #order = 0;
  #timers: Timer[] = [];
  #turn: (() => void)[] = [];
  wallOffset = 1_700_000_000_000;

  monotonic(): number {
    return this.#now;
  }

  wall(): number {
    return Math.floor(this.#now) + this.wallOffset;
  }

  after(delayMs: number, fire: () => void): () => void {
    const timer = { at: this.#now + delayMs, order: (this.#order += 1), fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  atTurnEnd(run: () => void): void {
    this.#turn.push(run);
  }

  nextTurn(run: () => void): void {
    this.#turn.push(run);
  }

  /** Everything that waits for a turn's end, and what that asks for in turn. */
  endTurn(): void {
    for (let count = 0; this.#turn.length > 0; count += 1) {
      if (count > 100_000) throw new Error("a turn does not end");
      this.#turn.shift()?.();
    }
  }

  /** Moves on, firing timers in their order and ending the turn after each. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    this.endTurn();
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at || a.order - b.order);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.fire();
      this.endTurn();
    }
    this.#now = end;
  }
}
