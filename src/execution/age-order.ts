/**
 * Things in the order of their last use, oldest first: a doubly linked list through the things themselves.
 *
 * Owns: the links, and views: what was in the order at one moment, to be written little by little while it goes on changing. Every operation
 * is O(1) and makes nothing, since a session is moved with each of its requests; only while a view is being written, the first use of
 * a thing writes it as it was. Called by the two tables of this folder. Where all things live equally long, the oldest one is also the
 * first to expire.
 *
 * Invariant: a thing is changed only behind an `append` or a `makeNewest`, with no view taken in between.
 */
import { ByteWriter } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";

export interface Aged<Thing> {
  older: Thing | undefined;
  newer: Thing | undefined;
  /** Of its last use; they grow along the order. */
  stamp: number;
}

type Write<Thing> = (writer: ByteWriter, thing: Thing) => void;

export class AgeOrder<Thing extends Aged<Thing>> {
  #oldest: Thing | undefined = undefined;
  #newest: Thing | undefined = undefined;
  #stamp = 0;
  #uses = 0;
  readonly #views = new Set<AgeView<Thing>>();

  get oldest(): Thing | undefined {
    return this.#oldest;
  }

  get newest(): Thing | undefined {
    return this.#newest;
  }

  /** Grows with each use, also with one that moves nothing. */
  get uses(): number {
    return this.#uses;
  }

  append(thing: Thing): void {
    this.#uses += 1;
    invariant(thing.older === undefined && thing.newer === undefined, "a thing is in the order once");
    this.#stamp += 1;
    thing.stamp = this.#stamp;
    thing.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = thing;
    else this.#newest.newer = thing;
    this.#newest = thing;
  }

  remove(thing: Thing): void {
    for (const view of this.#views) view.keep(thing);
    const { older, newer } = thing;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    thing.older = undefined;
    thing.newer = undefined;
  }

  /** Before it is changed. */
  makeNewest(thing: Thing): void {
    // Where it is already, it only has to be changed from now on.
    if (thing === this.#newest && this.#views.size === 0) {
      this.#uses += 1;
      return;
    }
    this.remove(thing);
    this.append(thing);
  }

  /** What is here now, until it is written or released. */
  view(write: Write<Thing>): AgeView<Thing> {
    const view: AgeView<Thing> = new AgeView(this.#oldest, this.#stamp, write, () => this.#views.delete(view));
    this.#views.add(view);
    return view;
  }

  /** From the oldest on. */
  *[Symbol.iterator](): IterableIterator<Thing> {
    for (let thing = this.#oldest; thing !== undefined; thing = thing.newer) yield thing;
  }
}

/** What was written of a thing before it was changed or removed. */
interface Kept {
  readonly stamp: number;
  readonly bytes: Uint8Array;
}

export class AgeView<Thing extends Aged<Thing>> {
  /** The oldest unchanged thing that is not written yet, or one that is newer than the view. */
  #next: Thing | undefined;
  readonly #newest: number;
  readonly #write: Write<Thing>;
  readonly #released: () => void;
  /** A heap: the oldest comes first. */
  readonly #kept: Kept[] = [];
  #written = 0;

  constructor(oldest: Thing | undefined, newest: number, write: Write<Thing>, released: () => void) {
    this.#next = oldest;
    this.#newest = newest;
    this.#write = write;
    this.#released = released;
  }

  /** The next thing as it was then, in the order of then. False: there is none left. */
  writeNext(writer: ByteWriter): boolean {
    const next = this.#next !== undefined && this.#next.stamp <= this.#newest ? this.#next : undefined;
    const kept = this.#kept[0];
    if (kept !== undefined && (next === undefined || kept.stamp < next.stamp)) {
      this.#written = kept.stamp;
      takeFirst(this.#kept);
      writer.raw(kept.bytes);
      return true;
    }
    if (next === undefined) {
      this.release();
      return false;
    }
    this.#written = next.stamp;
    this.#next = next.newer;
    this.#write(writer, next);
    return true;
  }

  /** It is about to be moved, changed or removed. */
  keep(thing: Thing): void {
    if (thing.stamp > this.#newest || thing.stamp <= this.#written) return;
    if (thing === this.#next) this.#next = thing.newer;
    const writer = new ByteWriter();
    this.#write(writer, thing);
    insert(this.#kept, { stamp: thing.stamp, bytes: writer.finish() });
  }

  /** Nothing more is wanted of it. */
  release(): void {
    this.#next = undefined;
    this.#kept.length = 0;
    this.#released();
  }
}

function insert(heap: Kept[], kept: Kept): void {
  let at = heap.length;
  heap.push(kept);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || above.stamp <= kept.stamp) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = kept;
}

function takeFirst(heap: Kept[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
    const isRight = right !== undefined && left !== undefined && right.stamp < left.stamp;
    const below = isRight ? right : left;
    if (below === undefined || below.stamp >= last.stamp) break;
    heap[at] = below;
    at = 2 * at + (isRight ? 2 : 1);
  }
  heap[at] = last;
}
