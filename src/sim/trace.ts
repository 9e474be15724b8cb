/**
 * What happened, one line an event, readable without a legend.
 *
 * Owns: the lines, their form, and what each adds to the run's hash. A sweep keeps no lines, only the hash; a replay of the same seed
 * keeps them all. Written to by everything in `sim/`.
 *
 *     12.345 s  b         leads term 5
 */
import type { Scheduler } from "./scheduler.js";

export class Trace {
  readonly #scheduler: Scheduler;
  readonly #keeps: boolean;
  readonly lines: string[] = [];

  constructor(scheduler: Scheduler, keeps: boolean) {
    this.#scheduler = scheduler;
    this.#keeps = keeps;
  }

  /** `who` is a replica, a client, or "nemesis"; `what` begins with a verb. */
  add(who: string, what: string): void {
    this.#scheduler.note(this.#scheduler.now);
    this.#scheduler.noteText(who);
    this.#scheduler.noteText(what);
    if (this.#keeps) this.lines.push(`${timeText(this.#scheduler.now)}  ${who.padEnd(8)}  ${what}`);
  }

  /** For what happens all the time: the text is made only if somebody will read it. */
  addOften(who: string, mark: number, what: () => string): void {
    this.#scheduler.note(this.#scheduler.now);
    this.#scheduler.note(mark);
    if (this.#keeps) this.lines.push(`${timeText(this.#scheduler.now)}  ${who.padEnd(8)}  ${what()}`);
  }
}

export function timeText(ms: number): string {
  return `${(ms / 1000).toFixed(3).padStart(9)} s`;
}
