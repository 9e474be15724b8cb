/**
 * What a search keeps: the ways in which a history can have gone so far, without those that are no better than another.
 *
 * Owns: what a configuration is, when one is as good as another, and which are kept if not all can be. Called by `order-walk.ts`.
 */
import type { State } from "./effect.js";

/** An operation that took effect, and those before it. */
export interface Taken {
  /** The number of the operation; of an unknown outcome, that of its class below zero: `~class`. */
  readonly what: number;
  /** Of a class: how many of it had been called by then. */
  readonly called: number;
  /** Nobody saw it: it came just before the last blind operation that took effect. */
  readonly isHidden: boolean;
  readonly before: Taken | undefined;
}

/** What has happened so far, in one of the ways that are possible. */
export interface Configuration {
  readonly state: State;
  /** A character for each place of an operation under way: `taken` if it has taken effect, `open` otherwise. */
  readonly done: string;
  /** How many unknown operations of each class have taken effect; 0 for a class that is not counted. */
  readonly used: readonly number[];
  /** The same of all classes together, counted or not. */
  readonly usedInAll: number;
  /** The last call of a blind operation under way before one took effect: those called up to then may return. 0 if there is none. */
  readonly blindAt: number;
  readonly taken: Taken | undefined;
}

/** Configurations of which none is at least as good as another; a greedy one compares only how many unknown ones are used in all. */
export class Frontier {
  readonly #byKey = new Map<string, Configuration[]>();
  readonly #isGreedy: boolean;

  constructor(isGreedy: boolean) {
    this.#isGreedy = isGreedy;
  }

  /** False if one that is there already can do all that this one can. */
  add(configuration: Configuration): boolean {
    const key = `${configuration.done}${typeof configuration.state === "number" ? "#" : "$"}${configuration.state}`;
    const present = this.#byKey.get(key);
    if (present === undefined) {
      this.#byKey.set(key, [configuration]);
      return true;
    }
    if (present.some((other) => this.#isAsGood(other, configuration))) return false;
    this.#byKey.set(key, [...present.filter((other) => !this.#isAsGood(configuration, other)), configuration]);
    return true;
  }

  /** For the same state and the same operations done: fewer unknown ones are used up, and more blind ones may return. */
  #isAsGood(one: Configuration, other: Configuration): boolean {
    if (one.blindAt < other.blindAt) return false;
    if (this.#isGreedy) return one.usedInAll <= other.usedInAll;
    return one.used.every((count, at) => count <= (other.used[at] ?? 0));
  }

  all(): readonly Configuration[] {
    return [...this.#byKey.values()].flat();
  }
}

/** Those that nobody betters. Of equal ones, the one that used fewest unknown ones, counted or not. */
export function bestOf(found: Configuration[], isGreedy: boolean): readonly Configuration[] {
  const frontier = new Frontier(isGreedy);
  for (const each of found.sort((left, right) => left.usedInAll - right.usedInAll)) frontier.add(each);
  return frontier.all();
}

/** The best of each state, then the second best of each, and so on: which state is the right one shows only later. */
export function mostPromising(all: readonly Configuration[], width: number): readonly Configuration[] {
  const ofState = new Map<State, number>();
  const rated = all.map((configuration) => ({ configuration, done: configuration.done.replaceAll(open, "").length }));
  // Fewer unknown operations used up, then more that have taken effect.
  rated.sort((left, right) => left.configuration.usedInAll - right.configuration.usedInAll || right.done - left.done);
  const ranked = rated.map(({ configuration }) => {
    const rank = ofState.get(configuration.state) ?? 0;
    ofState.set(configuration.state, rank + 1);
    return { configuration, rank };
  });
  return ranked
    .sort((left, right) => left.rank - right.rank)
    .slice(0, width)
    .map(({ configuration }) => configuration);
}

export const open = "-";
export const taken = "+";
const takenCode = taken.charCodeAt(0);

export function isDone(done: string, place: number): boolean {
  return done.charCodeAt(place) === takenCode;
}

export function withPlace(done: string, place: number, mark: string): string {
  return done.slice(0, place) + mark + done.slice(place + 1);
}

export function withOneMore(counts: readonly number[], at: number): readonly number[] {
  const more = counts.slice();
  while (more.length <= at) more.push(0);
  more[at] = (more[at] ?? 0) + 1;
  return more;
}
