/**
 * The calls and returns of a history in their order, and the orders of effects that a walk through them finds.
 *
 * Owns: the numbering of events, places and classes. At one time, calls come before returns: operations that touch are taken to overlap.
 * Called by `order-search.ts`.
 */
import type { Taken } from "./frontier.js";
import type { Effect, HistoryOperation, State } from "./effect.js";

export interface Known {
  /** In the history. */
  readonly number: number;
  readonly effect: Effect;
  /** The event of its call; they begin with 1. */
  readonly calledAt: number;
  /** The event of its return: at one time the events are in an order too. */
  readonly returnsAt: number;
  /** No two that are under way at once share one. */
  readonly place: number;
}

/** Operations of unknown outcome that do the same. */
export interface UnknownClass {
  readonly effect: Effect;
  /** Their numbers, in the order of their calls. */
  readonly numbers: number[];
}

export type Event =
  { readonly kind: "call" | "return"; readonly known: Known } | { readonly kind: "unknown"; readonly class: number };

export interface Timeline {
  /** The states from which to begin. */
  readonly initial: readonly State[];
  readonly events: readonly Event[];
  readonly classes: readonly UnknownClass[];
  readonly places: number;
}

export function timelineOf(initial: readonly State[], operations: readonly HistoryOperation<Effect>[]): Timeline {
  const classes: UnknownClass[] = [];
  const classOf = new Map<string, number>();
  const known = new Map<number, Known>();
  const free: number[] = [];
  let places = 0;
  const events = timesOf(operations).map(({ number, isReturn }, at): Event => {
    const { op: effect, ret } = operations[number] as HistoryOperation<Effect>;
    const begun = known.get(number);
    if (isReturn && begun !== undefined) {
      free.push(begun.place);
      Object.assign(begun, { returnsAt: at + 1 });
      return { kind: "return", known: begun };
    }
    if (ret !== undefined) {
      const place = free.pop() ?? places++;
      const called: Known = { number, effect, calledAt: at + 1, returnsAt: Infinity, place };
      known.set(number, called);
      return { kind: "call", known: called };
    }
    const found = classOf.get(effect.name);
    if (found !== undefined) classes[found]?.numbers.push(number);
    else classOf.set(effect.name, classes.push({ effect, numbers: [number] }) - 1);
    return { kind: "unknown", class: found ?? classes.length - 1 };
  });
  return { initial, events, classes, places };
}

interface Time {
  readonly number: number;
  readonly time: number;
  readonly isReturn: boolean;
}

function timesOf(operations: readonly HistoryOperation<Effect>[]): readonly Time[] {
  const times: Time[] = [];
  for (const [number, { call, ret }] of operations.entries()) {
    times.push({ number, time: call, isReturn: false });
    if (ret !== undefined) times.push({ number, time: ret, isReturn: true });
  }
  return times.sort((left, right) => left.time - right.time || Number(left.isReturn) - Number(right.isReturn));
}

/** The classes that were used more often than they had been called by then. */
export function overused(last: Taken | undefined): ReadonlySet<number> {
  const calledBefore = new Map<number, number[]>();
  for (let each = last; each !== undefined; each = each.before) {
    if (each.what >= 0) continue;
    const uses = calledBefore.get(~each.what);
    if (uses === undefined) calledBefore.set(~each.what, [each.called]);
    else uses.push(each.called);
  }
  // The last use comes first here.
  const isOver = (uses: readonly number[]): boolean => uses.some((called, at) => uses.length - at > called);
  return new Set([...calledBefore].flatMap(([at, uses]) => (isOver(uses) ? [at] : [])));
}

/** The numbers of operations in the order of their effects. Of one class, the one that was called first takes effect first. */
export function orderOf({ classes, events }: Timeline, last: Taken | undefined): readonly number[] {
  const blind = new Set<number>();
  for (const event of events) if (event.kind === "call" && event.known.effect.isBlind) blind.add(event.known.number);
  const backwards: number[] = [];
  // Hidden ones come before the blind one that took effect last before they returned: behind it, read backwards.
  let hidden: number[] = [];
  for (let each = last; each !== undefined; each = each.before) {
    if (each.isHidden) hidden.push(each.what);
    else {
      backwards.push(each.what);
      if (each.what < 0 ? !classes[~each.what]?.effect.isBlind : !blind.has(each.what)) continue;
      backwards.push(...hidden);
      hidden = [];
    }
  }
  const used = new Map<number, number>();
  return backwards.reverse().map((what) => {
    if (what >= 0) return what;
    const count = used.get(what) ?? 0;
    used.set(what, count + 1);
    return classes[~what]?.numbers[count] ?? what;
  });
}
