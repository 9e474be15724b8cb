/**
 * Logical time: what happens when, in one order that never depends on the machine.
 *
 * Owns: the clock of a test world and its agenda, a binary heap by time and then by order of scheduling. Called by clusters in
 * memory. Nothing here waits: time jumps to the next happening.
 */
interface Happening {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class Timeline {
  #now = 0;
  #order = 0;
  readonly #heap: Happening[] = [];

  get now(): number {
    return this.#now;
  }

  at(time: number, run: () => void): void {
    this.#order += 1;
    const item = { at: Math.max(time, this.#now), order: this.#order, run };
    let place = this.#heap.length;
    this.#heap.push(item);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = this.#heap[parent];
      if (above === undefined || isBefore(above, item)) break;
      this.#heap[place] = above;
      place = parent;
    }
    this.#heap[place] = item;
  }

  /** Runs the next happening if it is due by `limit`. */
  next(limit: number): boolean {
    const first = this.#heap[0];
    if (first === undefined || first.at > limit) return false;
    this.#removeFirst();
    this.#now = first.at;
    first.run();
    return true;
  }

  /** Runs all that is due by `time`, and lets it be then. */
  runUntil(time: number): void {
    while (this.next(time));
    this.#now = time;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const item = heap.pop();
    if (item === undefined || heap.length === 0) return;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, left)) child += 1;
      const smaller = heap[child];
      if (smaller === undefined || isBefore(item, smaller)) break;
      heap[place] = smaller;
      place = child;
    }
    heap[place] = item;
  }
}

function isBefore(left: Happening, right: Happening): boolean {
  return left.at < right.at || (left.at === right.at && left.order < right.order);
}
