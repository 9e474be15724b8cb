/**
 * Can what clients saw be put into one order? The search for linearizability.
 *
 * Owns: how widely to walk and which unknown outcomes to count, and the order that is found. Leaves to others: one walk
 * (`order-walk.ts`), what operations mean (`sequential-models.ts`), telling people (`history-verdict.ts`, which calls it).
 *
 * An order is mostly found by following a few configurations, so the search begins narrow, and only a wide walk that keeps all of them can
 * say that there is none. The wide walk first lets operations of unknown outcome take effect any number of times: that allows more than
 * the history does, so if even that is stuck, there is no order; and if it passes with none used more often than it was called, that
 * is an order of the history. Otherwise those classes are counted from then on. Most never need to be.
 */
import type { Effect, HistoryOperation, Machine, State } from "./effect.js";
import { OrderWalk, type Meter, type WalkResult } from "./order-walk.js";
import { orderOf, overused, timelineOf, type Timeline } from "./timeline.js";

export type SearchVerdict =
  /** Operations by their numbers: all of known outcome, and those of unknown outcome that take effect. */
  | { readonly kind: "linearizable"; readonly order: readonly number[] }
  /** `at`: the operation whose return cannot be; `before`: states that were possible before it. */
  | { readonly kind: "notLinearizable"; readonly at: number; readonly before: readonly State[] }
  /** The search was given up: nothing is known. */
  | { readonly kind: "unknown" };

export interface SearchLimits {
  /** Steps at most, each an operation looked at in one configuration. */
  readonly stepsMax: number;
  /** Asked every now and then. */
  readonly isOutOfTime: () => boolean;
}

export const usualSearchLimits: SearchLimits = { stepsMax: 50_000_000, isOutOfTime: () => false };

/** Steps between two looks at the clock. */
const stepsPerLook = 10_000;
/** Configurations that are kept at once, at most. */
const keptMax = 400_000;

/** Steps in one window, at most: it is worth so many, since a contradiction is mostly a short one. */
const windowSteps = 400_000;
const widths = [4, 32, 256, 2_048];
const windows = [12, 50, 200];

class GivenUp extends Error {}

class StepMeter implements Meter {
  readonly #limits: SearchLimits;
  #steps = 0;

  constructor(limits: SearchLimits) {
    this.#limits = limits;
  }

  /** Counted in operations that are looked at, so that the clock is asked in time whatever there is of them. */
  work(count: number): void {
    const before = this.#steps;
    this.#steps += count;
    if (this.#steps > this.#limits.stepsMax) throw new GivenUp();
    const isDue = Math.floor(before / stepsPerLook) !== Math.floor(this.#steps / stepsPerLook);
    if (isDue && this.#limits.isOutOfTime()) throw new GivenUp();
  }

  keep(count: number): void {
    if (count > keptMax) throw new GivenUp();
  }
}

type Stuck = Extract<WalkResult, { readonly kind: "stuck" }>;

export function searchOrder(
  machine: Machine,
  operations: readonly HistoryOperation<Effect>[],
  limits: SearchLimits,
): SearchVerdict {
  const timeline = timelineOf([machine.initial], operations);
  const every = new Set(timeline.classes.keys());
  const meter = new StepMeter(limits);
  try {
    let last: Stuck | undefined;
    for (const width of widths) {
      const narrow = new OrderWalk(timeline, { width, counted: every, isGreedy: true, meter }).run();
      if (narrow.kind === "passed") return verdictOf(timeline, narrow);
      if (last === undefined || (operations[last.at]?.ret ?? 0) < (operations[narrow.at]?.ret ?? 0)) last = narrow;
      const { other } = machine;
      if (other !== undefined && isStuckInWindow(operations, { end: operations[last.at]?.ret ?? 0, other }, limits))
        return verdictOf(timeline, last);
    }
    return searchWidely(timeline, machine.isNarrow ? new Set() : every, meter);
  } catch (cause) {
    if (cause instanceof GivenUp) return { kind: "unknown" };
    throw cause;
  }
}

function searchWidely(timeline: Timeline, first: ReadonlySet<number>, meter: Meter): SearchVerdict {
  const counted = new Set(first);
  for (;;) {
    const wide = new OrderWalk(timeline, { width: Infinity, counted, isGreedy: false, meter }).run();
    const over = wide.kind === "passed" ? overused(wide.end.taken) : new Set<number>();
    if (over.size === 0) return verdictOf(timeline, wide);
    for (const each of over) counted.add(each);
  }
}

/** Whether the last returns up to this one cannot be, whatever was before them. */
function isStuckInWindow(
  operations: readonly HistoryOperation<Effect>[],
  { end, other }: { readonly end: number; readonly other: State },
  limits: SearchLimits,
): boolean {
  const returns = operations.flatMap(({ ret }) => (ret !== undefined && ret <= end ? [ret] : [])).sort((a, b) => a - b);
  for (const width of windows) {
    const window = windowOf(operations, returns.at(-width) ?? Number.NEGATIVE_INFINITY, end);
    const meter = new StepMeter({ ...limits, stepsMax: windowSteps });
    try {
      const walk = new OrderWalk(timelineOf([...neededBy(window), other], window), {
        width: Infinity,
        counted: new Set(),
        isGreedy: false,
        meter,
      });
      if (walk.run().kind === "stuck") return true;
    } catch (cause) {
      if (!(cause instanceof GivenUp) || limits.isOutOfTime()) throw cause;
    }
    if (returns.length <= width) break;
  }
  return false;
}

/**
 * What a window asks for at least. Whoever was called before it may have taken effect or not, and who returns after it may take effect or
 * not: both are of unknown outcome here.
 */
function windowOf(
  operations: readonly HistoryOperation<Effect>[],
  start: number,
  end: number,
): readonly HistoryOperation<Effect>[] {
  return operations.flatMap((operation) => {
    const { call, ret } = operation;
    if (call > end || (ret !== undefined && ret < start)) return [];
    if (ret !== undefined && ret <= end && call >= start) return [operation];
    return operation.op.isObserver ? [] : [{ ...operation, ret: undefined }];
  });
}

function neededBy(operations: readonly HistoryOperation<Effect>[]): ReadonlySet<State> {
  return new Set(operations.flatMap(({ op }) => (op.needs === undefined ? [] : [op.needs])));
}

function verdictOf(timeline: Timeline, result: WalkResult): SearchVerdict {
  if (result.kind === "passed") return { kind: "linearizable", order: orderOf(timeline, result.end.taken) };
  return { kind: "notLinearizable", at: result.at, before: result.before };
}
