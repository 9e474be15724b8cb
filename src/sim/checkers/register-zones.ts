/**
 * The order of a register's history whose writes can be told apart, found without a search.
 *
 * Owns: the zones of Gibbons and Korach ("Testing Shared Memories", 1997, section 4: values with one writer each, and read-modify-writes).
 * Called by `history-verdict.ts`; leaves all other histories to the search.
 *
 * If each value has one writer, everybody who saw it stands right behind that writer: they are a *cluster*. A compare-and-set stands between
 * the cluster that it saw and its own, so that clusters form *chains*. A chain is one block of every order. It can stand before another if
 * its last call is not behind the other's first return. So a chain whose last call is behind its own first return holds the register
 * from that return to that call (a forward zone), and no two may do so at once; any other can stand at any moment from its last call to its
 * first return (a backward zone), of which one must be in nobody's forward zone.
 */
import type { HistoryOperation } from "./effect.js";
import { canonicalText, type RecordedOp } from "./sequential-models.js";

type Seen = HistoryOperation<RecordedOp>;

/** `order`: numbers of operations. `undecided`: values with several writers, or refused operations that fit nowhere in the order found. */
export type DirectVerdict =
  { readonly kind: "ordered"; readonly order: readonly number[] } | { readonly kind: "impossible" | "undecided" };

const impossible: DirectVerdict = { kind: "impossible" };
const undecided: DirectVerdict = { kind: "undecided" };

interface Cluster {
  /** Undefined: the initial value. */
  readonly writer: number | undefined;
  readonly readers: number[];
  /** The compare-and-sets that saw it: one at most. */
  readonly next: number[];
}

interface Chain {
  readonly members: readonly number[];
  readonly firstReturn: number;
  readonly lastCall: number;
}

export function orderByZones(operations: readonly Seen[]): DirectVerdict {
  const effective = effectiveOf(operations);
  const clusters = clustersOf(operations, effective);
  if (clusters === undefined) return undecided;
  const refused: number[] = [];
  for (const number of effective) {
    const op = operations[number]?.op;
    const seen = seenBy(op);
    const cluster = seen === undefined ? undefined : clusters.get(seen);
    if (op?.f === "read" && op.answer === undefined) return undecided;
    if (op?.f === "cas" && op.ok === false) refused.push(number);
    if (seen === undefined) continue;
    if (cluster === undefined) return impossible;
    if (op?.f === "read") cluster.readers.push(number);
    else cluster.next.push(number);
  }
  const chains = chainsOf(operations, clusters);
  const sorted = chains === undefined ? undefined : sortChains(chains);
  if (sorted === undefined) return impossible;
  const order = sorted.flatMap(({ members }) => members);
  return refused.length === 0 ? { kind: "ordered", order } : withRefused(operations, order, refused);
}

/** All of known outcome, and those of unknown outcome whose value was seen by one that is effective. Nobody misses the others. */
function effectiveOf(operations: readonly Seen[]): ReadonlySet<number> {
  const unknown = new Map<string, number[]>();
  const found: number[] = [];
  for (const [number, { op, ret }] of operations.entries()) {
    const value = writtenBy(op);
    if (ret !== undefined) found.push(number);
    else if (value !== undefined) unknown.set(value, [...(unknown.get(value) ?? []), number]);
  }
  for (const number of found) {
    const seen = seenBy(operations[number]?.op) ?? "";
    found.push(...(unknown.get(seen) ?? []));
    unknown.delete(seen);
  }
  return new Set(found);
}

/** By value, without those who saw it; undefined if a value has several writers. */
function clustersOf(operations: readonly Seen[], effective: ReadonlySet<number>): Map<string, Cluster> | undefined {
  const clusters = new Map<string, Cluster>([["null", { writer: undefined, readers: [], next: [] }]]);
  for (const number of effective) {
    const value = writtenBy(operations[number]?.op);
    if (value === undefined) continue;
    if (clusters.has(value)) return undefined;
    clusters.set(value, { writer: number, readers: [], next: [] });
  }
  return clusters;
}

/** Undefined if one cannot be: two compare-and-sets saw one write, or one of its operations returned before an earlier one was called. */
function chainsOf(operations: readonly Seen[], clusters: ReadonlyMap<string, Cluster>): readonly Chain[] | undefined {
  const chains: Chain[] = [];
  let count = 0;
  for (const first of clusters.values()) {
    if (seenBy(operations[first.writer ?? -1]?.op) !== undefined) continue;
    const isInitial = first.writer === undefined;
    let lastCall = Number.NEGATIVE_INFINITY;
    let firstReturn = isInitial ? Number.NEGATIVE_INFINITY : Infinity;
    const members: number[] = [];
    const add = (number: number): boolean => {
      const { call, ret = Infinity } = operations[number] as Seen;
      lastCall = Math.max(lastCall, call);
      firstReturn = Math.min(firstReturn, ret);
      members.push(number);
      return lastCall <= ret;
    };
    for (let each: Cluster | undefined = first; each !== undefined;) {
      count += 1;
      const readers = each.readers.sort((left, right) => callOf(operations, left) - callOf(operations, right));
      const own = each.writer === undefined ? readers : [each.writer, ...readers];
      if (each.next.length > 1 || !own.every(add)) return undefined;
      const next: number | undefined = each.next[0];
      each = next === undefined ? undefined : clusters.get(writtenBy(operations[next]?.op) ?? "");
    }
    chains.push({ members, firstReturn, lastCall });
  }
  // The others are compare-and-sets in a circle.
  return count === clusters.size ? chains : undefined;
}

/** Undefined if two zones exclude each other: then neither chain can stand before the other. */
function sortChains(chains: readonly Chain[]): readonly Chain[] | undefined {
  const isForward = ({ firstReturn, lastCall }: Chain): boolean => firstReturn < lastCall;
  const forward = chains.filter(isForward).sort((left, right) => left.firstReturn - right.firstReturn);
  for (const [at, { firstReturn }] of forward.entries()) {
    if (at > 0 && (forward[at - 1]?.lastCall ?? 0) > firstReturn) return undefined;
  }
  const placed = forward.map((chain) => ({ chain, at: chain.firstReturn, rank: 1 }));
  for (const chain of chains) {
    if (isForward(chain)) continue;
    const holder = lastBefore(forward, chain.lastCall);
    const isHeld = holder !== undefined && holder.lastCall > chain.lastCall;
    if (isHeld && holder.lastCall > chain.firstReturn) return undefined;
    placed.push({ chain, at: isHeld ? holder.lastCall : chain.lastCall, rank: 0 });
  }
  // -Infinity and itself have no difference.
  const compare = (left: number, right: number): number => (left < right ? -1 : left > right ? 1 : 0);
  placed.sort((left, right) => compare(left.at, right.at) || left.rank - right.rank);
  return placed.map(({ chain }) => chain);
}

/** The last forward zone that begins before a time. */
function lastBefore(forward: readonly Chain[], time: number): Chain | undefined {
  let from = 0;
  let to = forward.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((forward[middle]?.firstReturn ?? Infinity) < time) from = middle + 1;
    else to = middle;
  }
  return forward[from - 1];
}

/** Puts those that were refused into an order of all others, each where the register holds something else, as early as time allows. */
function withRefused(operations: readonly Seen[], order: readonly number[], refused: readonly number[]): DirectVerdict {
  // Behind the operation at each place: what the register holds, and the first return of all that follow.
  const held = ["null"];
  for (const number of order) held.push(writtenBy(operations[number]?.op) ?? held.at(-1) ?? "null");
  const firstReturn = new Array<number>(order.length + 1).fill(Infinity);
  for (let at = order.length - 1; at >= 0; at -= 1)
    firstReturn[at] = Math.min(firstReturn[at + 1] ?? Infinity, operations[order[at] ?? -1]?.ret ?? Infinity);
  const lastCall = [Number.NEGATIVE_INFINITY];
  for (const number of order) lastCall.push(Math.max(lastCall.at(-1) ?? 0, callOf(operations, number)));
  const inserted: number[][] = held.map(() => []);
  let earliest = 0;
  for (const number of refused.toSorted((left, right) => callOf(operations, left) - callOf(operations, right))) {
    const { call, ret = Infinity, op } = operations[number] as Seen;
    const from = op.f === "cas" ? canonicalText(op.from) : "";
    while ((firstReturn[earliest] ?? Infinity) < call) earliest += 1;
    let at = earliest;
    while (held[at] === from) at += 1;
    if ((lastCall[at] ?? Infinity) > ret) return undecided;
    inserted[at]?.push(number);
  }
  const all = inserted.flatMap((numbers, at) => (at === 0 ? numbers : [order[at - 1] ?? -1, ...numbers]));
  let last = Number.NEGATIVE_INFINITY;
  const isInTime = all.every((number) => {
    last = Math.max(last, callOf(operations, number));
    return last <= (operations[number]?.ret ?? Infinity);
  });
  return isInTime ? { kind: "ordered", order: all } : undecided;
}

function callOf(operations: readonly Seen[], number: number): number {
  return operations[number]?.call ?? 0;
}

/** What it leaves behind, if it takes effect; undefined for what changes nothing. */
function writtenBy(op: RecordedOp | undefined): string | undefined {
  if (op?.f === "write") return canonicalText(op.value);
  return op?.f === "cas" && op.ok !== false ? canonicalText(op.to) : undefined;
}

function seenBy(op: RecordedOp | undefined): string | undefined {
  if (op?.f === "read") return op.answer === undefined ? undefined : canonicalText(op.answer);
  return op?.f === "cas" && op.ok !== false ? canonicalText(op.from) : undefined;
}
