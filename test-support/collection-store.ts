/** A state of one collection of each kind, for tests that look at the collections alone. */
import type { CommandLimits } from "../src/api/machine.js";
import type { StateCell, StateList, StateMap, StateSet, StateSortedMap } from "../src/api/state.js";
import type { Steps } from "../src/base/steps.js";
import type { Fingerprint } from "../src/base/fingerprint.js";
import { chunksOf, digestOfContents, fingerprintOfContents, StateStore } from "../src/collections/state-store.js";
import type { NamedContent } from "../src/collections/snapshot-format.js";
import { hexOf } from "../src/base/bytes.js";
import { nodeHash } from "../src/node/hash.js";

export interface TestState {
  readonly map: StateMap<string | number, unknown>;
  readonly sorted: StateSortedMap<string | number | readonly (string | number)[], unknown>;
  readonly set: StateSet<string | number>;
  readonly list: StateList<unknown>;
  readonly cell: StateCell<unknown>;
}

export class CollectionStore {
  readonly #store: StateStore;

  constructor(limits: Partial<CommandLimits>) {
    this.#store = new StateStore(
      ({ map, sortedMap, set, list, cell }) => ({
        map: map(),
        sorted: sortedMap(),
        set: set(),
        list: list(),
        cell: cell<unknown>("first"),
      }),
      { operationsMax: 1_000_000, bytesMax: 1_000_000, outputBytesMax: 1_000_000, ...limits },
      () => ({}),
    );
  }

  get state(): TestState {
    return this.#store.state as never;
  }

  /** Runs `body` like a command: what it did stays unless it throws. */
  command<Result>(body: (state: TestState) => Result): Result {
    this.#store.scope.begin("writing");
    try {
      const result = body(this.state);
      this.#store.scope.checkBudgets();
      this.#store.scope.commit();
      return result;
    } catch (cause) {
      this.#store.scope.rollback();
      throw cause;
    }
  }

  /** Runs `body` like a query. */
  query<Result>(body: (state: TestState) => Result): Result {
    this.#store.scope.begin("reading");
    try {
      return body(this.state);
    } finally {
      this.#store.scope.commit();
    }
  }

  fork(): readonly NamedContent[] {
    return this.#store.fork();
  }

  install(chunks: Iterable<Uint8Array>): void {
    this.#store.install(chunks);
  }

  /** What lies in memory, for damaging it. */
  view(): readonly NamedContent[] {
    return this.#store.view();
  }

  scrubbing(): Steps<readonly string[]> {
    return this.#store.scrubbing();
  }

  fingerprint(): string {
    return textOf(this.#store.fingerprint());
  }

  digest(): string {
    return `${hexOf(this.#store.digest(nodeHash))} ${textOf(this.#store.fingerprint())}`;
  }
}

/** Both that audits compare and that checkpoints do: what holds for one holds for the other. */
export const forkDigest = (fork: readonly NamedContent[]): string =>
  `${hexOf(digestOfContents(fork, nodeHash))} ${textOf(fingerprintOfContents(fork))}`;
const textOf = ({ high, low }: Fingerprint): string => `${high}:${low}`;
export const forkChunks = (fork: readonly NamedContent[]): Uint8Array[] => [...chunksOf(fork)];

/** All that a reader can see, in the order in which it is seen. */
export function contentOf(state: TestState): unknown {
  return {
    map: [...state.map],
    mapSize: state.map.size,
    sorted: [...state.sorted],
    sortedSize: state.sorted.size,
    downward: [...state.sorted.range({ reverse: true })],
    set: [...state.set],
    setSize: state.set.size,
    list: [...state.list],
    length: state.list.length,
    cell: state.cell.get(),
  };
}
