/**
 * One walk through the calls and returns of a history, with every way in which it can have gone: just-in-time linearization (Lowe,
 * "Testing for linearizability", 2017, section 5; the question is Wing and Gong's, 1993).
 *
 * Owns: how one configuration follows from another. Leaves to others: which are kept (`frontier.ts`), how wide to walk and what to count
 * (`order-search.ts`, which calls it).
 *
 * An operation takes effect as late as it can: when one returns, each configuration is continued by all sequences of operations under way
 * that end with it. Equal configurations are kept once (the memo), and what is no better than another is dropped:
 *
 * - An operation that does not change the state, and fits it, takes effect at once: afterwards everything is as possible as before.
 * - Unknown outcomes never return. Who has used fewer of them, for the same state, can do all that the other can. Those of one name are
 *   interchangeable, so they are counted, or are used without a limit.
 * - A blind operation (a write) that another one follows with nothing between them has an effect that nobody sees. It is not tried: a
 *   configuration remembers when a blind operation last took effect, and whichever blind one was under way then may return.
 * - Of operations under way that do and answer the same, the one that returns first takes effect first: they could be exchanged.
 * - Where states only grow, what would have had to happen before shows that a way leads nowhere (`isPast`).
 */
import { bestOf, Frontier, isDone, mostPromising, open, taken, withOneMore, withPlace } from "./frontier.js";
import type { Configuration } from "./frontier.js";
import type { Effect, State } from "./effect.js";
import type { Event, Known, Timeline } from "./timeline.js";

/** Throws if there has been enough. */
export interface Meter {
  work(count: number): void;
  keep(count: number): void;
}

export interface WalkOptions {
  /** Configurations kept after each return. */
  readonly width: number;
  /** Classes of unknown outcomes whose uses are counted. Others are used without a limit. */
  readonly counted: ReadonlySet<number>;
  /** Of two ways to the same place only the one is kept that used fewer unknown ones, whichever they are: being stuck proves nothing. */
  readonly isGreedy: boolean;
  readonly meter: Meter;
}

export type WalkResult =
  | { readonly kind: "passed"; readonly end: Configuration }
  /** `at`: the operation that cannot return; `before`: the states that were possible. */
  | { readonly kind: "stuck"; readonly at: number; readonly before: readonly State[] };

/** A narrow walk looks at this many configurations for each that it keeps before it leaves a return. */
const looksPerKept = 64;

export class OrderWalk {
  readonly #timeline: Timeline;
  readonly #options: WalkOptions;
  /** Under way and not blind: by the state that they need, and those that need none. */
  readonly #byNeed = new Map<State, Known[]>();
  readonly #free: Known[] = [];
  /** Under way and blind, in the order of their calls. */
  readonly #blind: Known[] = [];
  /** Under way, in the order of their returns. */
  readonly #byName = new Map<string, Known[]>();
  /** Of unknown outcome and called: how many of each class. */
  readonly #called: number[] = [];
  #configurations: readonly Configuration[];

  constructor(timeline: Timeline, options: WalkOptions) {
    this.#timeline = timeline;
    this.#options = options;
    const done = open.repeat(timeline.places);
    const start = { done, used: [], usedInAll: 0, blindAt: 0, taken: undefined };
    this.#configurations = timeline.initial.map((state) => ({ ...start, state }));
  }

  run(): WalkResult {
    for (const event of this.#timeline.events) {
      if (event.kind !== "return") {
        this.#call(event);
        continue;
      }
      const before = this.#configurations;
      this.#return(event.known);
      if (this.#configurations.length > 0) continue;
      return { kind: "stuck", at: event.known.number, before: [...new Set(before.map(({ state }) => state))] };
    }
    const [first, ...others] = this.#configurations;
    if (first === undefined) throw new Error("a walk that is not stuck has a configuration");
    const end = others.reduce((best, each) => (each.usedInAll < best.usedInAll ? each : best), first);
    return { kind: "passed", end };
  }

  #call(event: Exclude<Event, { readonly kind: "return" }>): void {
    if (event.kind === "unknown") {
      this.#called[event.class] = (this.#called[event.class] ?? 0) + 1;
      return;
    }
    const { known } = event;
    const alike = listOf(this.#byName, known.effect.name);
    const later = alike.findIndex(({ returnsAt }) => returnsAt > known.returnsAt);
    alike.splice(later < 0 ? alike.length : later, 0, known);
    this.#listFor(known).push(known);
  }

  #end(known: Known): void {
    const { name, needs } = known.effect;
    remove(listOf(this.#byName, name), known);
    remove(this.#listFor(known), known);
    if (listOf(this.#byName, name).length === 0) this.#byName.delete(name);
    if (needs !== undefined && listOf(this.#byNeed, needs).length === 0) this.#byNeed.delete(needs);
  }

  #listFor({ effect: { isBlind, needs } }: Known): Known[] {
    if (isBlind) return this.#blind;
    return needs === undefined ? this.#free : listOf(this.#byNeed, needs);
  }

  /** Every configuration in which it has taken effect. */
  #return(wanted: Known): void {
    const { width, isGreedy, meter } = this.#options;
    const found: Configuration[] = [];
    const seen = new Frontier(isGreedy);
    const waiting = this.#configurations.map((each) => this.#settled({ ...each })).reverse();
    let left = looksPerKept * width;
    for (let each = waiting.pop(); each !== undefined && left > 0; each = waiting.pop()) {
      if (!seen.add(each)) continue;
      left -= 1;
      if (isDone(each.done, wanted.place)) {
        found.push({ ...each, done: withPlace(each.done, wanted.place, open) });
        continue;
      }
      // Nobody saw its effect: another blind operation followed it at once.
      if (wanted.effect.isBlind && each.blindAt >= wanted.calledAt)
        found.push({ ...each, taken: { what: wanted.number, called: 0, isHidden: true, before: each.taken } });
      this.#continue(each, wanted, waiting);
    }
    this.#end(wanted);
    const kept = bestOf(
      found.map((each) => this.#settled(each)),
      isGreedy,
    );
    meter.keep(kept.length);
    this.#configurations = kept.length <= width ? kept : mostPromising(kept, width);
  }

  /** One more operation takes effect. What the one that returns waits for is put last, so that it is tried first. */
  #continue(from: Configuration, wanted: Known, waiting: Configuration[]): void {
    const next: Configuration[] = [];
    const attempt = { from, wanted, next };
    for (const known of this.#byNeed.get(from.state) ?? []) if (this.#isFirst(known, from)) this.#try(known, attempt);
    for (const known of this.#free) if (this.#isFirst(known, from)) this.#try(known, attempt);
    // Without anybody who could see it, a blind one is only tried if it is the wanted one.
    if (wanted.effect.isBlind) this.#try(wanted, attempt);
    if (this.#byNeed.size > 0 || this.#free.length > 0 || this.#called.length > 0) {
      for (const alike of this.#byName.values()) {
        const first = alike[0]?.effect.isBlind ? alike.find(({ place }) => !isDone(from.done, place)) : undefined;
        if (first !== undefined && first !== wanted) this.#try(first, attempt);
      }
    }
    for (const at of this.#called.keys()) this.#tryUnknown(at, attempt);
    const { needs } = wanted.effect;
    const isNear = ({ state, done }: Configuration): boolean => state === needs || isDone(done, wanted.place);
    for (const each of next) if (!isNear(each)) waiting.push(each);
    for (const each of next) if (isNear(each)) waiting.push(each);
  }

  /** It has not taken effect, and of those that do the same it returns first. */
  #isFirst(known: Known, { done }: Configuration): boolean {
    if (isDone(done, known.place)) return false;
    for (const other of this.#byName.get(known.effect.name) ?? []) {
      if (other === known) return true;
      if (!isDone(done, other.place)) return false;
    }
    return true;
  }

  #try(known: Known, { from, wanted, next }: Attempt): void {
    this.#options.meter.work(1);
    const { effect, number, place } = known;
    const state = effect.step(from.state);
    if (state === undefined || (known !== wanted && !this.#isWorthwhile(state, effect, from, wanted))) return;
    next.push(
      this.#settled({
        state,
        done: withPlace(from.done, place, taken),
        used: from.used,
        usedInAll: from.usedInAll,
        blindAt: effect.isBlind ? Infinity : from.blindAt,
        taken: { what: number, called: 0, isHidden: false, before: from.taken },
      }),
    );
  }

  #tryUnknown(at: number, { from, wanted, next }: Attempt): void {
    const effect = this.#timeline.classes[at]?.effect;
    const called = this.#called[at] ?? 0;
    if (effect === undefined || called <= (from.used[at] ?? 0)) return;
    this.#options.meter.work(1);
    const state = effect.step(from.state);
    if (state === undefined || state === from.state || wanted.effect.isPast(state)) return;
    // Whatever comes next sees it: what a blind operation would hide need not have been.
    if (!this.#isSeen(state, from)) return;
    next.push(
      this.#settled({
        state,
        done: from.done,
        used: this.#options.counted.has(at) ? withOneMore(from.used, at) : from.used,
        usedInAll: from.usedInAll + 1,
        blindAt: effect.isBlind ? Infinity : from.blindAt,
        taken: { what: ~at, called, isHidden: false, before: from.taken },
      }),
    );
  }

  /** What is tried before the wanted operation leaves room for it; and a blind one is followed by something that sees it. */
  #isWorthwhile(state: State, effect: Effect, from: Configuration, wanted: Known): boolean {
    return !wanted.effect.isPast(state) && (!effect.isBlind || this.#isSeen(state, from));
  }

  /** Something under way, or of unknown outcome, that is not blind fits this state. */
  #isSeen(state: State, { done, used }: Configuration): boolean {
    for (const { effect, place } of this.#byNeed.get(state) ?? [])
      if (!isDone(done, place) && effect.step(state) !== undefined) return true;
    for (const { effect, place } of this.#free)
      if (!isDone(done, place) && effect.step(state) !== undefined) return true;
    if (this.#options.isGreedy) return false;
    return this.#called.some((called, at) => {
      const effect = this.#timeline.classes[at]?.effect;
      if (effect === undefined || effect.isBlind || called <= (used[at] ?? 0)) return false;
      const next = effect.step(state);
      return next !== undefined && next !== state;
    });
  }

  /** Whatever fits and changes nothing takes effect at once; and `blindAt` says no more than what is under way needs. */
  #settled(configuration: { -readonly [Name in keyof Configuration]: Configuration[Name] }): Configuration {
    const { state } = configuration;
    const settle = (list: readonly Known[]): void => {
      this.#options.meter.work(list.length);
      for (const { number, place, effect } of list) {
        if (isDone(configuration.done, place) || effect.step(state) !== state) continue;
        configuration.done = withPlace(configuration.done, place, taken);
        configuration.taken = { what: number, called: 0, isHidden: false, before: configuration.taken };
      }
    };
    const seers = this.#byNeed.get(state);
    if (seers !== undefined) settle(seers);
    if (this.#free.length > 0) settle(this.#free);
    if (configuration.blindAt === 0) return configuration;
    const last = this.#blind.findLast(
      ({ place, calledAt }) => calledAt <= configuration.blindAt && !isDone(configuration.done, place),
    );
    configuration.blindAt = last?.calledAt ?? 0;
    return configuration;
  }
}

interface Attempt {
  readonly from: Configuration;
  readonly wanted: Known;
  readonly next: Configuration[];
}

function listOf<Key>(lists: Map<Key, Known[]>, key: Key): Known[] {
  const present = lists.get(key);
  if (present !== undefined) return present;
  const list: Known[] = [];
  lists.set(key, list);
  return list;
}

function remove(list: Known[], known: Known): void {
  list.splice(list.indexOf(known), 1);
}
