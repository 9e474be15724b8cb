/**
 * All time and all randomness of a simulated world.
 *
 * Owns: the one heap of events, true time (milliseconds from 0, with fractions), named random streams, and the hash of everything
 * that was noted. Two events at one time run in the order in which they were asked for. Leaves to others: what an event does
 * (processes, network, disks, nemesis). Nothing else in `sim/` keeps time or draws, so one seed is one run.
 */
import { invariant } from "../base/invariant.js";
import { randomStream, type Random } from "../base/random.js";

export interface SimEvent {
  readonly at: number;
  readonly order: number;
  /** Undefined once it is cancelled. */
  run: (() => void) | undefined;
}

export class Scheduler {
  readonly #seed: number;
  readonly #streams = new Map<string, Random>();
  readonly #heap: SimEvent[] = [];
  #now = 0;
  /** Nothing runs behind it for now. */
  #until = 0;
  #nextOrder = 0;
  #eventCount = 0;
  #hash = 0x811c_9dc5;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get now(): number {
    return this.#now;
  }

  /** Events that have run. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** Eight hexadecimal digits; equal for equal runs. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  /** The stream of this name: a draw in one does not shift any other. */
  random(name: string): Random {
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = randomStream(this.#seed, name);
      this.#streams.set(name, stream);
    }
    return stream;
  }

  after(delayMs: number, run: () => void): SimEvent {
    invariant(delayMs >= 0, "time does not go back");
    const event: SimEvent = { at: this.#now + delayMs, order: this.#nextOrder, run };
    this.#nextOrder += 1;
    this.#push(event);
    return event;
  }

  cancel(event: SimEvent): void {
    event.run = undefined;
  }

  /** Moves on by this, within an event, unless something else is due first; false if it did not. */
  pass(delayMs: number): boolean {
    const at = this.#now + delayMs;
    const next = this.#heap[0];
    if (at > this.#until || (next !== undefined && next.at <= at)) return false;
    this.#now = at;
    return true;
  }

  /** Runs the next event; false if there is none before or at `until`, and then it is that time. */
  step(until: number): boolean {
    this.#until = until;
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > until) {
        this.#now = Math.max(this.#now, until);
        return false;
      }
      this.#pop();
      if (next.run === undefined) continue;
      this.#now = next.at;
      this.#eventCount += 1;
      next.run();
      return true;
    }
  }

  /** Mixes a number into the trace hash (FNV-1a over its bits). */
  note(value: number): void {
    const whole = Math.trunc(value);
    this.#hash = Math.imul(this.#hash ^ (whole | 0), 0x0100_0193);
    this.#hash = Math.imul(this.#hash ^ ((value - whole) * 0x1_0000_0000), 0x0100_0193);
  }

  noteText(text: string): void {
    let hash = this.#hash;
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
    this.#hash = hash;
  }

  #push(event: SimEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      let smaller = left;
      if (right !== undefined && isBefore(right, left)) {
        child += 1;
        smaller = right;
      }
      if (!isBefore(smaller, last)) break;
      heap[at] = smaller;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(left: SimEvent, right: SimEvent): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
