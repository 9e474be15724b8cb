/**
 * Linearizable queries: gathered per turn under one read barrier, answered when execution has reached its index.
 *
 * Owns: which queries wait for which barrier. Each try of a barrier has a number of its own, so a late answer to an earlier one
 * is nobody's (hazard L4); a failed barrier is asked again, never dropped in silence (L6), but not in the turn in which it failed:
 * that turn might never end. Called by `replica/host.ts`.
 */
import type { LogIndex } from "../model/ids.js";

export interface WaitingQuery {
  readonly connection: number;
  readonly id: number;
  readonly name: string;
  readonly input: Uint8Array;
  /** Monotonic milliseconds at which the query came: older ones are refused. */
  readonly since: number;
}

interface PassedGroup {
  readonly index: LogIndex;
  readonly queries: readonly WaitingQuery[];
}

/** Barriers unanswered at once: more would not pass sooner, since the leader answers all that wait with one round. */
const barriersMax = 8;

export class Reads {
  /** Came since the last barrier was asked for. */
  #fresh: WaitingQuery[] = [];
  /** Asked for and not answered, by barrier. */
  readonly #asked = new Map<number, WaitingQuery[]>();
  /** Passed; waiting for execution. Barriers pass in order, so indexes only grow. */
  #passed: PassedGroup[] = [];
  #nextBarrier = 1;
  #count = 0;
  /** One failed: nothing is asked until `release`. */
  #isHeld = false;

  get count(): number {
    return this.#count;
  }

  add(query: WaitingQuery): void {
    this.#fresh.push(query);
    this.#count += 1;
  }

  /** The number of the barrier to ask for now, if any query waits for one and may ask. */
  nextBarrier(): number | undefined {
    if (this.#fresh.length === 0 || this.#isHeld || this.#asked.size >= barriersMax) return undefined;
    const id = this.#nextBarrier;
    this.#nextBarrier += 1;
    this.#asked.set(id, this.#fresh);
    this.#fresh = [];
    return id;
  }

  onPassed(id: number, index: LogIndex): void {
    const queries = this.#asked.get(id);
    if (queries === undefined) return;
    this.#asked.delete(id);
    this.#passed.push({ index, queries });
  }

  /** Its queries wait for the next barrier, in front of younger ones. */
  onFailed(id: number): void {
    const queries = this.#asked.get(id);
    if (queries === undefined) return;
    this.#asked.delete(id);
    this.#fresh = [...queries, ...this.#fresh];
    this.#isHeld = true;
  }

  /** Time has passed, or another leads: what failed may be asked again. */
  release(): void {
    this.#isHeld = false;
  }

  /** Queries that a state executed up to `executed` may answer. */
  takeReady(executed: LogIndex): readonly WaitingQuery[] {
    const ready: WaitingQuery[] = [];
    const later: PassedGroup[] = [];
    for (const group of this.#passed) {
      if (group.index <= executed) ready.push(...group.queries);
      else later.push(group);
    }
    this.#passed = later;
    this.#count -= ready.length;
    return ready;
  }

  /**
   * Queries that came before `since`, unless their barrier is on its way: nobody leads, or execution does not get there. They are
   * given back.
   */
  takeOlderThan(since: number): readonly WaitingQuery[] {
    const isOld = (query: WaitingQuery): boolean => query.since < since;
    const old = [...this.#fresh, ...this.#passed.flatMap(({ queries }) => queries)].filter(isOld);
    if (old.length === 0) return old;
    this.#fresh = this.#fresh.filter((query) => !isOld(query));
    this.#passed = this.#passed
      .map(({ index, queries }) => ({ index, queries: queries.filter((query) => !isOld(query)) }))
      .filter(({ queries }) => queries.length > 0);
    this.#count -= old.length;
    return old;
  }
}
