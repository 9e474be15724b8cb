/**
 * One process of a simulated world: a replica's or a client's. It runs, it may be paused, and once it is killed nothing of it runs
 * any more.
 *
 * Owns: the process's own time (drift of its monotonic clock, jumps of its wall clock) and its turns, as the `Clock` port; what comes
 * while it is paused waits and then runs in order, as after SIGSTOP and SIGCONT. Leaves to others: what it runs. Devices (`sim-disk.ts`,
 * `sim-network.ts`) hand their completions over with `post`, so none reaches a process that is dead.
 */
import type { LeaseLimits } from "../api/config.js";
import { nextFraction, type Random } from "../base/random.js";
import type { Clock } from "../ports/clock.js";
import type { Scheduler } from "./scheduler.js";

export interface ClockFault {
  /** The monotonic clock runs this many times as fast as true time. */
  readonly rate: number;
  /** Milliseconds that the wall clock is ahead. */
  readonly wallOffsetMs: number;
}

/** The slowest and the fastest clock of a run: with leases on, what they allow for; more would be out of the model (hazard L2). */
export function clockRatesOf({ durationMs, clockDriftPercentMax }: LeaseLimits): readonly [number, number] {
  if (durationMs === 0) return [0.33, 3];
  return [1 - clockDriftPercentMax / 100, 1 + clockDriftPercentMax / 100];
}

export interface ProcessOptions {
  /** A turn of the event loop takes up to this long, in milliseconds. */
  readonly turnMsMax: number;
  /** Told what a callback threw: nothing of this process should run afterwards. */
  readonly onThrow: (cause: unknown) => void;
  /** Called after each callback that ran to its end: a place to look at what it has changed. */
  readonly afterEach?: (() => void) | undefined;
}

/** True time 0 on every undisturbed wall clock: 2026-01-01. */
const wallStart = 1_767_225_600_000;

export class SimProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #options: ProcessOptions;
  #isAlive = true;
  #isPaused = false;
  #deferred: (() => void)[] = [];
  #turnEnd: (() => void)[] = [];
  #isTurnScheduled = false;
  #isRunning = false;
  #rate = 1;
  #wallOffsetMs = 0;
  /** Monotonic and true time at the last change of the rate. */
  #monotonicAt: number;
  #trueAt: number;

  constructor(scheduler: Scheduler, name: string, options: ProcessOptions) {
    this.#scheduler = scheduler;
    this.name = name;
    this.#random = scheduler.random(`turns ${name}`);
    this.#options = options;
    this.#trueAt = scheduler.now;
    // Monotonic clocks of different machines have nothing to do with each other.
    this.#monotonicAt = Math.floor(nextFraction(this.#random) * 1_000_000);
    this.clock = {
      monotonic: () => this.#monotonic(),
      wall: () => wallStart + Math.floor(scheduler.now) + this.#wallOffsetMs,
      after: (delayMs, fire) => this.#after(delayMs, fire),
      atTurnEnd: (run) => this.#atTurnEnd(run),
      nextTurn: (run) => this.post(this.#turnMs(), run),
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Runs in this process after `delayMs` of true time, unless it is dead by then. */
  post(delayMs: number, run: () => void): void {
    this.#scheduler.after(delayMs, () => this.run(run));
  }

  /** Runs now, or once the process goes on if it is paused. */
  run(run: () => void): void {
    if (!this.#isAlive) return;
    if (this.#isPaused) {
      this.#deferred.push(run);
      return;
    }
    const isOuter = !this.#isRunning;
    this.#isRunning = true;
    try {
      run();
      if (isOuter && this.#turnEnd.length > 0) this.#endTurn();
      this.#options.afterEach?.();
    } catch (cause) {
      this.#options.onThrow(cause);
    } finally {
      if (isOuter) this.#isRunning = false;
    }
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const deferred = this.#deferred;
    this.#deferred = [];
    // All that came meanwhile comes in one turn.
    this.run(() => {
      for (const run of deferred) this.run(run);
    });
  }

  kill(): void {
    this.#isAlive = false;
    this.#deferred = [];
    this.#turnEnd = [];
  }

  /** From now on its clocks go as told. The monotonic clock never jumps, the wall clock does. */
  setClock({ rate, wallOffsetMs }: ClockFault): void {
    this.#monotonicAt = this.#monotonic();
    this.#trueAt = this.#scheduler.now;
    this.#rate = rate;
    this.#wallOffsetMs = wallOffsetMs;
  }

  #monotonic(): number {
    return this.#monotonicAt + (this.#scheduler.now - this.#trueAt) * this.#rate;
  }

  #after(delayMs: number, fire: () => void): () => void {
    let isCancelled = false;
    const fireUnlessCancelled = (): void => {
      if (!isCancelled) fire();
    };
    const event = this.#scheduler.after(delayMs / this.#rate, () => this.run(fireUnlessCancelled));
    return () => {
      isCancelled = true;
      this.#scheduler.cancel(event);
    };
  }

  #atTurnEnd(run: () => void): void {
    this.#turnEnd.push(run);
    if (!this.#isRunning) this.#endTurn();
  }

  /** At once if nothing else happens anywhere before the turn is over: an event of its own would come next anyway. */
  #endTurn(): void {
    if (this.#isTurnScheduled) return;
    const turnMs = this.#turnMs();
    const goesOn = this.#isRunning && this.#isAlive && !this.#isPaused;
    if (goesOn && this.#scheduler.pass(turnMs)) return this.#runTurnEnd();
    this.#isTurnScheduled = true;
    this.post(turnMs, () => {
      this.#runTurnEnd();
      this.#isTurnScheduled = false;
    });
  }

  #runTurnEnd(): void {
    // What is added while this runs belongs to the same turn, and is seen by this loop.
    for (let at = 0; at < this.#turnEnd.length; at += 1) this.#turnEnd[at]?.();
    this.#turnEnd = [];
  }

  #turnMs(): number {
    return nextFraction(this.#random) * this.#options.turnMsMax;
  }
}
