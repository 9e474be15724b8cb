/**
 * The order of a counter's history to which only is added, found without a search for what was answered.
 *
 * Owns: the order that the answers give, and which adds of unknown outcome fill its gaps. Called by `history-verdict.ts`; leaves histories
 * that also take away to the search.
 *
 * Sums only grow, and each answer says the sum before and after it, so that all operations of known outcome have one order, but for reads of
 * the same sum, which are put in the order of their calls. It is in time if nobody is called behind the return of a later one. Where the next
 * one begins with a larger sum than the last one left, adds of unknown outcome must come to just that much, of those called before the
 * first return that follows. Of equal ones the first called is taken. Which to take is a search of its own, gap by gap, but a short one, since
 * there are few gaps; what has failed is remembered.
 */
import type { HistoryOperation } from "./effect.js";
import type { DirectVerdict } from "./register-zones.js";
import type { RecordedOp } from "./sequential-models.js";

type Seen = HistoryOperation<RecordedOp>;

interface Known {
  readonly number: number;
  readonly call: number;
  readonly ret: number;
  readonly from: number;
  readonly to: number;
}

/** The adds of unknown outcome of one amount, in the order of their calls. */
interface Alike {
  readonly amount: number;
  readonly numbers: readonly number[];
  readonly calls: readonly number[];
}

interface Gap {
  /** The place of the operation behind it. */
  readonly place: number;
  readonly size: number;
  /** By amount: how many were called in time. */
  readonly called: readonly number[];
}

const impossible: DirectVerdict = { kind: "impossible" };
const undecided: DirectVerdict = { kind: "undecided" };
/** Looks at one amount for one gap, at most. */
const looksMax = 2_000_000;
/** Gaps at most, since each takes a few calls within one another. */
const gapsMax = 2_000;

export function orderBySums(operations: readonly Seen[]): DirectVerdict {
  const known: Known[] = [];
  for (const [number, { call, ret, op }] of operations.entries()) {
    const by = op.f === "add" ? op.value : 0;
    if (!Number.isSafeInteger(by) || by < 0) return undecided;
    if (ret === undefined) continue;
    const to = "answer" in op ? op.answer : undefined;
    if (typeof to !== "number") return to === undefined ? undecided : impossible;
    if (!Number.isSafeInteger(to)) return undecided;
    known.push({ number, call, ret, from: to - by, to });
  }
  known.sort((left, right) => left.from - right.from || left.to - right.to || left.call - right.call);
  if (!isInTime(known)) return impossible;
  const alike = alikeOf(operations);
  const gaps = gapsOf(known, alike);
  if (gaps === undefined) return impossible;
  if (gaps.length > gapsMax) return undecided;
  const filled = new Filling(alike, gaps).fill();
  if (filled === "impossible" || filled === "undecided") return { kind: filled };
  const order = known.flatMap(({ number }, place) => [...(filled.get(place) ?? []), number]);
  return { kind: "ordered", order };
}

function isInTime(known: readonly Known[]): boolean {
  let last = Number.NEGATIVE_INFINITY;
  return known.every(({ call, ret }) => {
    last = Math.max(last, call);
    return last <= ret;
  });
}

function alikeOf(operations: readonly Seen[]): readonly Alike[] {
  const byAmount = new Map<number, { number: number; call: number }[]>();
  for (const [number, { call, ret, op }] of operations.entries()) {
    if (ret !== undefined || op.f !== "add" || op.value === 0) continue;
    const present = byAmount.get(op.value);
    if (present === undefined) byAmount.set(op.value, [{ number, call }]);
    else present.push({ number, call });
  }
  // The largest first: they leave the least choice to the others.
  return [...byAmount]
    .sort(([left], [right]) => right - left)
    .map(([amount, all]) => {
      all.sort((left, right) => left.call - right.call);
      return { amount, numbers: all.map(({ number }) => number), calls: all.map(({ call }) => call) };
    });
}

/** Undefined if one begins with a smaller sum than the one before it left, or the gaps are larger than all that can fill them. */
function gapsOf(known: readonly Known[], alike: readonly Alike[]): readonly Gap[] | undefined {
  const firstReturn = new Array<number>(known.length + 1).fill(Infinity);
  for (let place = known.length - 1; place >= 0; place -= 1)
    firstReturn[place] = Math.min(firstReturn[place + 1] ?? Infinity, known[place]?.ret ?? Infinity);
  const gaps: Gap[] = [];
  let sum = 0;
  let missing = 0;
  for (const [place, { from, to }] of known.entries()) {
    if (from < sum) return undefined;
    if (from > sum) {
      const end = firstReturn[place] ?? Infinity;
      const called = alike.map(({ calls }) => calls.filter((call) => call <= end).length);
      missing += from - sum;
      if (missing > alike.reduce((total, { amount }, kind) => total + amount * (called[kind] ?? 0), 0))
        return undefined;
      gaps.push({ place, size: from - sum, called });
    }
    sum = to;
  }
  return gaps;
}

/** Fills the gaps one after the other; within one, amount by amount. */
class Filling {
  readonly #alike: readonly Alike[];
  readonly #gaps: readonly Gap[];
  /** By amount: how many are taken. */
  readonly #used: number[];
  readonly #taken = new Map<number, number[]>();
  readonly #failed = new Set<string>();
  #looks = 0;

  constructor(alike: readonly Alike[], gaps: readonly Gap[]) {
    this.#alike = alike;
    this.#gaps = gaps;
    this.#used = alike.map(() => 0);
  }

  /** By place: the numbers of those that fill the gap before it. */
  fill(): ReadonlyMap<number, readonly number[]> | "impossible" | "undecided" {
    const isFilled = this.#fill(0, 0, this.#gaps[0]?.size ?? 0);
    if (this.#looks > looksMax) return "undecided";
    return isFilled ? this.#taken : "impossible";
  }

  /** Whether the rest of this gap can be filled with this amount and those behind it, and then all others. */
  #fill(at: number, from: number, rest: number): boolean {
    const gap = this.#gaps[at];
    if (gap === undefined) return true;
    if (rest === 0) return this.#fill(at + 1, 0, this.#gaps[at + 1]?.size ?? 0);
    let kind = from;
    while (kind < this.#alike.length && this.#most(gap, kind, rest) === 0) kind += 1;
    const alike = this.#alike[kind];
    if (alike === undefined || (this.#looks += 1) > looksMax) return false;
    const name = `${at} ${kind} ${rest} ${this.#used.join(" ")}`;
    if (this.#failed.has(name)) return false;
    const before = this.#used[kind] ?? 0;
    const taken = this.#taken.get(gap.place) ?? [];
    for (let count = this.#most(gap, kind, rest); count >= 0; count -= 1) {
      this.#used[kind] = before + count;
      this.#taken.set(gap.place, [...taken, ...alike.numbers.slice(before, before + count)]);
      if (this.#fill(at, kind + 1, rest - count * alike.amount)) return true;
    }
    this.#used[kind] = before;
    this.#taken.set(gap.place, taken);
    this.#failed.add(name);
    return false;
  }

  /** How many of an amount were called in time, are not taken, and are not too much. */
  #most({ called }: Gap, kind: number, rest: number): number {
    const left = (called[kind] ?? 0) - (this.#used[kind] ?? 0);
    return Math.max(0, Math.min(left, Math.floor(rest / (this.#alike[kind]?.amount ?? Infinity))));
  }
}
