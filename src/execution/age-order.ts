/**
 * Things in the order of their last use, oldest first: a doubly linked list through the things themselves.
 *
 * Owns: the links. Every operation is O(1) and makes nothing, since a session is moved with each of its requests. Called by the
 * two tables of this folder. Where all things live equally long, the oldest one is also the first to expire.
 */
import { invariant } from "../base/invariant.js";

export interface Aged<Thing> {
  older: Thing | undefined;
  newer: Thing | undefined;
}

export class AgeOrder<Thing extends Aged<Thing>> {
  #oldest: Thing | undefined = undefined;
  #newest: Thing | undefined = undefined;

  get oldest(): Thing | undefined {
    return this.#oldest;
  }

  append(thing: Thing): void {
    invariant(thing.older === undefined && thing.newer === undefined, "a thing is in the order once");
    thing.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = thing;
    else this.#newest.newer = thing;
    this.#newest = thing;
  }

  remove(thing: Thing): void {
    const { older, newer } = thing;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    thing.older = undefined;
    thing.newer = undefined;
  }

  makeNewest(thing: Thing): void {
    if (thing === this.#newest) return;
    this.remove(thing);
    this.append(thing);
  }

  /** From the oldest on. */
  *[Symbol.iterator](): IterableIterator<Thing> {
    for (let thing = this.#oldest; thing !== undefined; thing = thing.newer) yield thing;
  }
}
