/**
 * Replicated timers: hidden collections of the state, so that forks, digests, snapshots and roll-back cover them like everything else.
 *
 * Owns: what is set, and which of it is due in which order: by time, then by name, then by key. Leaves to others: calling the handlers
 * (`typed-machine.ts`).
 *
 * Invariant M11: the queue and the times by name hold the same timers.
 */
import type { Collections, StateShape, StateSortedMap } from "../api/state.js";
import type { EventTypes, TimerControl } from "../api/machine.js";
import { invariant } from "../base/invariant.js";
import { quote } from "../wire/canonical.js";

type QueueKey = readonly [at: number, name: string, key: string];

interface Stored {
  /** Where it was set: it fires in a later entry, so no chain of timers runs within one. */
  readonly index: number;
  readonly data?: unknown;
}

export interface DueTimer {
  readonly kind: "timer";
  readonly at: number;
  readonly name: string;
  readonly key: string;
}

const nothing: readonly DueTimer[] = [];

export class TimerTable {
  readonly #names: ReadonlySet<string>;
  readonly #queue: StateSortedMap<QueueKey, Stored>;
  readonly #times: StateSortedMap<readonly [name: string, key: string], number>;

  constructor({ sortedMap }: Collections, names: Iterable<string>) {
    this.#names = new Set(names);
    this.#queue = sortedMap();
    this.#times = sortedMap();
  }

  get collections(): StateShape {
    return { $timers: this.#queue, $timerTimes: this.#times };
  }

  /** What a context at this position in the log gives. */
  control(index: number): TimerControl<EventTypes> {
    return {
      set: (name, key, at, data) => {
        this.#check(String(name), key);
        if (!Number.isSafeInteger(at) || at < 0)
          throw new RangeError(`Cannot set the timer ${name} for ${at}: a time is in whole milliseconds from 0`);
        this.#remove(String(name), key);
        this.#queue.set([at, String(name), key], { index, data });
        this.#times.set([String(name), key], at);
      },
      cancel: (name, key) => {
        this.#check(String(name), key);
        return this.#remove(String(name), key);
      },
    };
  }

  /** Those to fire in an entry of this time. */
  due(now: number, countMax: number): readonly DueTimer[] {
    const first = this.first();
    if (first === undefined || first > now) return nothing;
    const due: DueTimer[] = [];
    for (const [[at, name, key]] of this.#queue.range({ to: [now + 1, "", ""], limit: countMax }))
      due.push({ kind: "timer", at, name, key });
    return due;
  }

  /** It is spent: what it was set with, or undefined if a handler before it in the entry has cancelled or replaced it. */
  take({ at, name, key }: DueTimer, index: number): Stored | undefined {
    const stored = this.#queue.get([at, name, key]);
    if (stored === undefined || stored.index === index) return undefined;
    this.#remove(name, key);
    return stored;
  }

  /** What an earlier version has set and this one does not declare. */
  dropUnknown(): void {
    for (const [[, name, key]] of this.#queue) if (!this.#names.has(name)) this.#remove(name, key);
  }

  /** Time of the earliest. */
  first(): number | undefined {
    return this.#queue.first()?.[0][0];
  }

  #remove(name: string, key: string): boolean {
    const at = this.#times.get([name, key]);
    if (at === undefined) return false;
    this.#times.delete([name, key]);
    invariant(this.#queue.delete([at, name, key]), "M11 a timer with a time is in the queue");
    return true;
  }

  #check(name: string, key: unknown): void {
    if (!this.#names.has(name))
      throw new Error(`Cannot use the timer ${quote(name)}: the machine declares no such timer`);
    if (typeof key !== "string") throw new TypeError(`Cannot use the timer ${name}: its key is not a string`);
  }
}
