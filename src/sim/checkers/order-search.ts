/**
 * Can what clients saw be put into one order? The search for linearizability.
 *
 * Owns: the search. Leaves to others: what operations mean (`sequential-models.ts`), telling people (`explain.ts`). Called by
 * `standard-histories.ts` and `quorate check-history`.
 *
 * Just-in-time linearization (Lowe, "Testing for linearizability", 2017, section 5; the question is Wing and Gong's, 1993): the calls and
 * returns are walked through in their order, with every *configuration* that is possible by then: a state, and which of the operations
 * under way have taken effect. An operation takes effect as late as it can: when one returns, each configuration is continued by all
 * sequences of operations under way that end with it. Equal configurations are kept once (the memo), and what is no better than another
 * is dropped:
 *
 * - An operation that does not change the state, and fits it, takes effect at once: afterwards everything is as possible as before.
 * - Unknown outcomes never return. Who has used fewer of them, for the same state, can do all that the other can. Equal ones (`classOf`)
 *   are interchangeable, so they are counted.
 * - A blind operation (a write) that another one follows with nothing between them has an effect that nobody sees. It is not tried: a
 *   configuration remembers when a blind operation last took effect, and whichever blind one was under way then may return.
 * - Of operations under way that do and answer the same, the one that returns first takes effect first: they could be exchanged.
 * - Where states only grow, what would have had to happen before shows that a way leads nowhere (`isPast`).
 *
 * An order is mostly found by following a few configurations, so the search begins narrow, and only a wide one that keeps all of them
 * can say that there is none.
 *
 * No configuration left at a return: the history up to there is the shortest prefix that has no order.
 */

/** An operation as it was seen. Operations of one process may overlap. */
export interface HistoryOperation<Op> {
  readonly process: string;
  readonly call: number;
  /** Undefined: the outcome is unknown. It took effect at any time after its call, or never will. */
  readonly ret: number | undefined;
  readonly op: Op;
}

/** A state is a text or a number, so that equal ones are the same. */
export type State = string | number;

export interface SequentialModel<Op> {
  readonly initial: State;
  /** The state afterwards; undefined if the operation cannot have answered so in this state. Of an unknown outcome: what it would do. */
  step(state: State, op: Op): State | undefined;
  /** Sets the state whatever it was, and answers nothing. */
  isBlind(op: Op): boolean;
  /** Operations with the same one do and answer the same in every state. */
  classOf(op: Op): string;
  /** The operation fits neither in this state nor in any that can come after it. */
  isPast(state: State, op: Op): boolean;
}

export type SearchVerdict<Op> =
  | { readonly kind: "linearizable" }
  | {
      readonly kind: "notLinearizable";
      /** The operation whose return cannot be. */
      readonly at: HistoryOperation<Op>;
      /** States that were possible before it. */
      readonly before: readonly State[];
    }
  /** The search was given up: nothing is known. */
  | { readonly kind: "unknown" };

export interface SearchLimits {
  /** Steps at most, each an operation looked at in one configuration. */
  readonly stepsMax: number;
  /** Asked every now and then. */
  readonly isOutOfTime: () => boolean;
}

export const usualSearchLimits: SearchLimits = { stepsMax: 50_000_000, isOutOfTime: () => false };

/** What has happened so far, in one of the ways that are possible. */
interface Configuration {
  readonly state: State;
  /** Numbers of operations that have taken effect and not returned, ascending. */
  readonly done: readonly number[];
  /** How many unknown operations of each class have taken effect. */
  readonly used: readonly number[];
  /** The last call of a blind operation under way before one took effect: those called up to then may return. 0 if there is none. */
  readonly blindAt: number;
}

interface Known<Op> {
  readonly number: number;
  readonly operation: HistoryOperation<Op>;
  /** The event of its call. */
  readonly calledAt: number;
  /** The event of its return: at one time the events are in an order too. */
  readonly returnsAt: number;
  readonly name: string;
  readonly isBlind: boolean;
}

interface Attempt<Op> {
  readonly settled: Configuration;
  readonly wanted: Known<Op>;
}

type Event<Op> = { readonly kind: "call" | "return"; readonly time: number; readonly operation: HistoryOperation<Op> };

class GivenUp extends Error {}

export function searchOrder<Op>(
  model: SequentialModel<Op>,
  operations: readonly HistoryOperation<Op>[],
  limits: SearchLimits,
): SearchVerdict<Op> {
  const events = eventsOf(operations);
  const meter = { steps: 0, limits };
  try {
    for (const width of [16, 128, 1_024]) {
      const narrow = new OrderSearch(model, meter, width).run(events);
      if (narrow.kind === "linearizable") return narrow;
    }
    return new OrderSearch(model, meter, Infinity).run(events);
  } catch (cause) {
    if (cause instanceof GivenUp) return { kind: "unknown" };
    throw cause;
  }
}

interface Meter {
  steps: number;
  readonly limits: SearchLimits;
}

/** Steps between two looks at the clock. */
const stepsPerLook = 10_000;
/** A narrow search looks at this many configurations for each that it keeps before it leaves a return. */
const stepsPerKept = 64;

/** At one time, calls come before returns: operations that touch are taken to overlap. */
function eventsOf<Op>(operations: readonly HistoryOperation<Op>[]): readonly Event<Op>[] {
  const events: Event<Op>[] = [];
  for (const operation of operations) {
    events.push({ kind: "call", time: operation.call, operation });
    if (operation.ret !== undefined) events.push({ kind: "return", time: operation.ret, operation });
  }
  const rank = (event: Event<Op>): number => (event.kind === "call" ? 0 : 1);
  return events.sort((left, right) => left.time - right.time || rank(left) - rank(right));
}

class OrderSearch<Op> {
  readonly #model: SequentialModel<Op>;
  readonly #meter: Meter;
  /** Configurations kept after each return. */
  readonly #width: number;
  readonly #underWay = new Map<HistoryOperation<Op>, Known<Op>>();
  /** Those under way that are blind, and those that are not, in the order of their calls; and by name. */
  #blind: Known<Op>[] = [];
  #seeing: Known<Op>[] = [];
  readonly #byName = new Map<string, Known<Op>[]>();
  readonly #classes = new Map<string, number>();
  /** By class: one of its operations, and how many were called. */
  readonly #unknown: { readonly op: Op; count: number }[] = [];
  #configurations: readonly Configuration[];
  #event = 0;

  constructor(model: SequentialModel<Op>, meter: Meter, width: number) {
    this.#model = model;
    this.#meter = meter;
    this.#width = width;
    this.#configurations = [{ state: model.initial, done: [], used: [], blindAt: 0 }];
  }

  run(events: readonly Event<Op>[]): SearchVerdict<Op> {
    const returns = new Map<HistoryOperation<Op>, number>();
    for (const [at, { kind, operation }] of events.entries()) if (kind === "return") returns.set(operation, at);
    for (const { kind, operation } of events) {
      this.#event += 1;
      if (kind === "call") {
        this.#call(operation, returns.get(operation));
        continue;
      }
      const before = this.#configurations;
      this.#return(operation);
      if (this.#configurations.length === 0) {
        return { kind: "notLinearizable", at: operation, before: [...new Set(before.map(({ state }) => state))] };
      }
    }
    return { kind: "linearizable" };
  }

  #call(operation: HistoryOperation<Op>, returnsAt: number | undefined): void {
    const name = this.#model.classOf(operation.op);
    if (returnsAt !== undefined) {
      return this.#begin({
        returnsAt,
        number: this.#event,
        operation,
        calledAt: this.#event,
        name,
        isBlind: this.#model.isBlind(operation.op),
      });
    }
    const known = this.#classes.get(name);
    const present = known === undefined ? undefined : this.#unknown[known];
    if (present !== undefined) present.count += 1;
    else {
      this.#classes.set(name, this.#unknown.length);
      this.#unknown.push({ op: operation.op, count: 1 });
    }
  }

  #begin(known: Known<Op>): void {
    this.#underWay.set(known.operation, known);
    (known.isBlind ? this.#blind : this.#seeing).push(known);
    const alike = this.#byName.get(known.name);
    if (alike === undefined) this.#byName.set(known.name, [known]);
    else alike.push(known);
  }

  #end(known: Known<Op>): void {
    const others = (list: readonly Known<Op>[]): Known<Op>[] => list.filter((other) => other !== known);
    this.#underWay.delete(known.operation);
    if (known.isBlind) this.#blind = others(this.#blind);
    else this.#seeing = others(this.#seeing);
    const alike = others(this.#byName.get(known.name) ?? []);
    if (alike.length === 0) this.#byName.delete(known.name);
    else this.#byName.set(known.name, alike);
  }

  /** Every configuration in which it has taken effect. */
  #return(operation: HistoryOperation<Op>): void {
    const known = this.#underWay.get(operation);
    if (known === undefined) return;
    const found: Configuration[] = [];
    const seen = new Frontier();
    const open: Configuration[] = this.#configurations.map((each) => this.#settle(each));
    let left = stepsPerKept * this.#width;
    for (let configuration = open.pop(); configuration !== undefined && left > 0; configuration = open.pop()) {
      if (!seen.add(configuration)) continue;
      left -= 1;
      if (configuration.done.includes(known.number)) {
        found.push(this.#without(configuration, known.number));
        continue;
      }
      // Nobody saw its effect: another blind operation followed it at once.
      if (known.isBlind && configuration.blindAt >= known.calledAt) found.push(configuration);
      this.#continue(configuration, known, open);
    }
    this.#end(known);
    const kept = new Frontier();
    for (const configuration of found) kept.add(this.#settle(configuration));
    const all = kept.all();
    this.#configurations = all.length <= this.#width ? all : mostPromising(all, this.#width);
  }

  /** One more operation takes effect. */
  #continue(from: Configuration, wanted: Known<Op>, open: Configuration[]): void {
    for (const known of this.#seeing) this.#try(from, known, wanted, open);
    // Without anybody who could see it, a blind one is only tried if it is the wanted one.
    if (this.#seeing.length === 0 && this.#unknown.length === 0) {
      if (wanted.isBlind) this.#try(from, wanted, wanted, open);
    } else for (const known of this.#blind) this.#try(from, known, wanted, open);
    for (const [at, { op, count }] of this.#unknown.entries()) {
      const used = from.used[at] ?? 0;
      if (used >= count) continue;
      const next = this.#take(from, op);
      if (next === undefined || next.state === from.state) continue;
      const settled = this.#settle({ ...next, used: withOneMore(from.used, at) });
      if (this.#isWorthwhile(op, from.done, { settled, wanted })) open.push(settled);
    }
  }

  #try(from: Configuration, known: Known<Op>, wanted: Known<Op>, open: Configuration[]): void {
    this.#work(1);
    if (from.done.includes(known.number) || !this.#isFirst(known, from.done)) return;
    const next = this.#take(from, known.operation.op);
    if (next === undefined) return;
    const done = insert(from.done, known.number);
    const settled = this.#settle({ ...next, done });
    if (known === wanted || this.#isWorthwhile(known.operation.op, done, { settled, wanted })) open.push(settled);
  }

  /** No other that does the same, and has not taken effect, returns before it. */
  #isFirst({ name, returnsAt }: Known<Op>, done: readonly number[]): boolean {
    const alike = this.#byName.get(name) ?? [];
    return !alike.some((other) => other.returnsAt < returnsAt && !done.includes(other.number));
  }

  #take(from: Configuration, op: Op): Configuration | undefined {
    const state = this.#model.step(from.state, op);
    if (state === undefined) return undefined;
    return { ...from, state, blindAt: this.#model.isBlind(op) ? Infinity : from.blindAt };
  }

  /** What is tried before the wanted operation leaves room for it; and a blind one is followed by something that sees it. */
  #isWorthwhile(op: Op, done: readonly number[], { settled, wanted }: Attempt<Op>): boolean {
    const isPossible = settled.done.includes(wanted.number) || !this.#model.isPast(settled.state, wanted.operation.op);
    return isPossible && (!this.#model.isBlind(op) || settled.done.length > done.length || this.#isSeen(settled));
  }

  /** Something under way that is not blind fits this state, and did not before for all we know. */
  #isSeen({ state, done, used }: Configuration): boolean {
    for (const { number, operation } of this.#seeing) {
      if (!done.includes(number) && this.#model.step(state, operation.op) !== undefined) return true;
    }
    return this.#unknown.some(({ op, count }, at) => {
      if ((used[at] ?? 0) >= count || this.#model.isBlind(op)) return false;
      const next = this.#model.step(state, op);
      return next !== undefined && next !== state;
    });
  }

  /** Whatever fits and changes nothing takes effect at once; and `blindAt` says no more than what is under way needs. */
  #settle(configuration: Configuration): Configuration {
    this.#work(this.#seeing.length);
    let { done } = configuration;
    for (const { number, operation } of this.#seeing) {
      if (this.#model.step(configuration.state, operation.op) !== configuration.state || done.includes(number))
        continue;
      done = insert(done, number);
    }
    const last = this.#blind.findLast(
      ({ number, calledAt }) => calledAt <= configuration.blindAt && !done.includes(number),
    );
    const blindAt = last?.calledAt ?? 0;
    return { ...configuration, done, blindAt };
  }

  #without(configuration: Configuration, number: number): Configuration {
    return { ...configuration, done: configuration.done.filter((other) => other !== number) };
  }

  /** Counted in operations that are looked at, so that the clock is asked in time whatever there is of them. */
  #work(count: number): void {
    const { limits } = this.#meter;
    const before = this.#meter.steps;
    this.#meter.steps += count;
    if (this.#meter.steps > limits.stepsMax) throw new GivenUp();
    const isDue = Math.floor(before / stepsPerLook) !== Math.floor(this.#meter.steps / stepsPerLook);
    if (isDue && limits.isOutOfTime()) throw new GivenUp();
  }
}

/** The best of each state, then the second best of each, and so on: which state is the right one shows only later. */
function mostPromising(all: readonly Configuration[], width: number): readonly Configuration[] {
  const ofState = new Map<State, number>();
  const ranked = [...all].sort(byPromise).map((configuration) => {
    const rank = ofState.get(configuration.state) ?? 0;
    ofState.set(configuration.state, rank + 1);
    return { configuration, rank };
  });
  return ranked
    .sort((left, right) => left.rank - right.rank)
    .slice(0, width)
    .map(({ configuration }) => configuration);
}

/** Fewer unknown operations used up, then more that have taken effect. */
function byPromise(left: Configuration, right: Configuration): number {
  const used = ({ used: counts }: Configuration): number => counts.reduce((sum, count) => sum + count, 0);
  return used(left) - used(right) || right.done.length - left.done.length;
}

/** Configurations of which none is at least as good as another. */
class Frontier {
  readonly #byKey = new Map<string, Configuration[]>();

  /** False if one that is there already can do all that this one can. */
  add(configuration: Configuration): boolean {
    const key = `${typeof configuration.state === "number" ? "#" : ""}${configuration.state}|${configuration.done.join(",")}`;
    const present = this.#byKey.get(key);
    if (present === undefined) {
      this.#byKey.set(key, [configuration]);
      return true;
    }
    if (present.some((other) => isAsGood(other, configuration))) return false;
    this.#byKey.set(key, [...present.filter((other) => !isAsGood(configuration, other)), configuration]);
    return true;
  }

  all(): readonly Configuration[] {
    return [...this.#byKey.values()].flat();
  }
}

/** For the same state and the same operations done: fewer unknown ones are used up, and more blind ones may return. */
function isAsGood(one: Configuration, other: Configuration): boolean {
  if (one.blindAt < other.blindAt) return false;
  return one.used.every((count, at) => count <= (other.used[at] ?? 0));
}

function insert(numbers: readonly number[], number: number): readonly number[] {
  const at = numbers.findIndex((other) => other > number);
  return at < 0 ? [...numbers, number] : [...numbers.slice(0, at), number, ...numbers.slice(at)];
}

function withOneMore(counts: readonly number[], at: number): readonly number[] {
  const more = Array.from({ length: Math.max(counts.length, at + 1) }, (_, index) => counts[index] ?? 0);
  more[at] = (more[at] ?? 0) + 1;
  return more;
}
