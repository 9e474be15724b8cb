/**
 * Queries that wait: for a read barrier, gathered per turn under one, and for execution to reach an index.
 *
 * Owns: which queries wait for which barrier, and that one is asked now and then even for none, so that the age of what this replica has
 * stays known (`freshness.ts`). Each try of a barrier has a number of its own, so a late answer to an earlier one
 * is nobody's (hazard L4); a failed barrier is asked again, never dropped in silence (L6), but not in the turn in which it failed:
 * that turn might never end. Called by `queries.ts`.
 */
import type { EventsQuestion } from "../model/events.js";
import type { LogIndex } from "../model/ids.js";
import type { ReadLevel } from "../model/request.js";

export interface WaitingQuery {
  readonly connection: number;
  readonly id: number;
  readonly name: string;
  readonly input: Uint8Array;
  readonly read: ReadLevel;
  /** Asks for events instead: whatever there is, even nothing. */
  readonly events?: EventsQuestion;
  /** Monotonic milliseconds at which the query came: older ones are refused. */
  readonly since: number;
  /** A lease proves it until then. */
  readonly until?: number | undefined;
}

interface AskedGroup {
  readonly askedAt: number;
  readonly queries: readonly WaitingQuery[];
}

interface PassedGroup {
  readonly index: LogIndex;
  readonly queries: readonly WaitingQuery[];
}

/** Barriers unanswered at once: more would not pass sooner, since the leader answers all that wait with one round. */
const barriersMax = 8;

const noQueries: readonly WaitingQuery[] = [];

export class Reads {
  /** Came since the last barrier was asked for. */
  #fresh: WaitingQuery[] = [];
  /** Asked for and not answered, by barrier. */
  readonly #asked = new Map<number, AskedGroup>();
  /** Waiting for execution. */
  #passed: PassedGroup[] = [];
  /** The lowest index of those. */
  #nearest = Infinity;
  /** Wait for nothing. */
  #ready: WaitingQuery[] = [];
  #lastAskedAt = -Infinity;
  #nextBarrier = 1;
  #count = 0;
  #bytes = 0;
  /** One failed: nothing is asked until `release`. */
  #isHeld = false;

  get count(): number {
    return this.#count;
  }

  /** Of inputs. */
  get bytes(): number {
    return this.#bytes;
  }

  /** For a barrier. */
  add(query: WaitingQuery): void {
    this.#fresh.push(query);
    this.#came(query);
  }

  /** For a state that reflects this index; 0: for any. */
  addAt(index: LogIndex, query: WaitingQuery): void {
    this.#came(query);
    if (index === 0) this.#ready.push(query);
    else this.#await({ index, queries: [query] });
  }

  /** The barrier to ask for now, if a query waits for one and may ask, or if none was asked for so long. */
  nextBarrier(now: number, renewMs: number): { readonly id: number; readonly byLease: boolean } | undefined {
    const [first] = this.#fresh;
    if (first === undefined && now - this.#lastAskedAt < renewMs) return undefined;
    if (this.#isHeld || this.#asked.size >= barriersMax) return undefined;
    const byLease = first?.read.kind === "lease";
    const queries = this.#fresh.filter(({ read }) => (read.kind === "lease") === byLease);
    if (queries.length === this.#fresh.length) this.#fresh = [];
    else this.#fresh = this.#fresh.filter(({ read }) => (read.kind === "lease") !== byLease);
    const id = this.#nextBarrier;
    this.#nextBarrier += 1;
    this.#lastAskedAt = now;
    this.#asked.set(id, { askedAt: now, queries });
    return { id, byLease };
  }

  /** Answers when it was asked for; undefined if it is nobody's. */
  onPassed(id: number, index: LogIndex, until: number | undefined): number | undefined {
    const asked = this.#asked.get(id);
    if (asked === undefined) return undefined;
    this.#asked.delete(id);
    const { queries } = asked;
    if (queries.length > 0)
      this.#await({ index, queries: until === undefined ? queries : queries.map((query) => ({ ...query, until })) });
    return asked.askedAt;
  }

  /** Its queries wait for the next barrier, in front of younger ones. */
  onFailed(id: number): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    this.#fresh = [...asked.queries, ...this.#fresh];
    this.#isHeld = true;
  }

  /** Time has passed, or another leads: what failed may be asked again. */
  release(): void {
    this.#isHeld = false;
  }

  /** Queries that a state executed up to `executed` may answer. */
  takeReady(executed: LogIndex): readonly WaitingQuery[] {
    const ready = this.#ready;
    this.#ready = [];
    if (this.#nearest <= executed) {
      const passed = this.#passed;
      this.#passed = [];
      this.#nearest = Infinity;
      for (const group of passed) {
        if (group.index <= executed) for (const query of group.queries) ready.push(query);
        else this.#await(group);
      }
    }
    this.#left(ready);
    return ready;
  }

  /**
   * Queries that came before `since`, unless their barrier is on its way: nobody leads, or execution does not get there. They are
   * given back.
   */
  takeOlderThan(since: number): readonly WaitingQuery[] {
    if (this.#fresh.length === 0 && this.#passed.length === 0) return noQueries;
    const isOld = (query: WaitingQuery): boolean => query.since < since;
    const old = [...this.#fresh, ...this.#passed.flatMap(({ queries }) => queries)].filter(isOld);
    if (old.length === 0) return old;
    this.#fresh = this.#fresh.filter((query) => !isOld(query));
    this.#passed = this.#passed
      .map(({ index, queries }) => ({ index, queries: queries.filter((query) => !isOld(query)) }))
      .filter(({ queries }) => queries.length > 0);
    this.#left(old);
    return old;
  }

  /** All that wait, also those whose barrier is on its way: they are given back. */
  takeAll(): readonly WaitingQuery[] {
    const asked = [...this.#asked];
    const all = [
      ...this.#ready,
      ...this.#passed.flatMap(({ queries }) => queries),
      ...asked.flatMap(([, { queries }]) => queries),
      ...this.#fresh,
    ];
    // Their barriers still tell how old things are.
    for (const [id, { askedAt }] of asked) this.#asked.set(id, { askedAt, queries: noQueries });
    this.#ready = [];
    this.#passed = [];
    this.#nearest = Infinity;
    this.#fresh = [];
    this.#left(all);
    return all;
  }

  #came(query: WaitingQuery): void {
    this.#count += 1;
    this.#bytes += query.input.length;
  }

  #left(queries: readonly WaitingQuery[]): void {
    this.#count -= queries.length;
    for (const { input } of queries) this.#bytes -= input.length;
  }

  #await(group: PassedGroup): void {
    this.#passed.push(group);
    this.#nearest = Math.min(this.#nearest, group.index);
  }
}
