/**
 * Scrubbing collections while they are written, rolled back, forked, cleared and installed: what is intact is never called damaged, and a
 * bit that flips behind the collections is found, or shows in the fingerprint, or makes a command fail, or is gone with what it was in.
 */
import fc from "fast-check";
import { expect, test } from "vitest";

import { randomStream } from "../../src/base/random.js";
import { doAll, type Steps } from "../../src/base/steps.js";
import { entriesOf, type TrieEntry } from "../../src/collections/hash-trie.js";
import { withFlippedBit } from "../../src/sim/bit-flip.js";
import { Draw } from "../../src/sim/draw.js";
import { CollectionStore, forkChunks, type TestState } from "../../test-support/collection-store.js";
import { plainData } from "../../test-support/plain-data.js";

const seed = 20_261_128;

interface Write {
  readonly kind:
    "set" | "delete" | "setSorted" | "deleteSorted" | "add" | "remove" | "push" | "pop" | "setCell" | "clear";
  readonly key: number;
  readonly value: unknown;
}

type Action =
  | { readonly kind: "command"; readonly writes: readonly Write[]; readonly fails: boolean }
  | { readonly kind: "fork" | "install" | "flip" }
  | { readonly kind: "scrub"; readonly steps: number };

const write: fc.Arbitrary<Write> = fc.record({
  kind: fc.oneof(
    {
      weight: 40,
      arbitrary: fc.constantFrom(
        "set",
        "delete",
        "setSorted",
        "deleteSorted",
        "add",
        "remove",
        "push",
        "pop",
        "setCell",
      ),
    },
    { weight: 1, arbitrary: fc.constant("clear") },
  ) as fc.Arbitrary<Write["kind"]>,
  key: fc.nat(80),
  value: plainData,
});
const command: fc.Arbitrary<Action> = fc.record({
  kind: fc.constant("command"),
  writes: fc.array(write, { maxLength: 30, size: "max" }),
  fails: fc.boolean(),
});
const scrub: fc.Arbitrary<Action> = fc.record({ kind: fc.constant("scrub"), steps: fc.nat(60) });
const intact: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: command },
  { weight: 8, arbitrary: scrub },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("fork", "install") }) },
);

test("what is intact is never called damaged", () => {
  fc.assert(
    fc.property(fc.array(intact, { maxLength: 40, size: "max" }), (actions) => {
      const run = new Run(new Draw(randomStream(1, "intact")));
      for (const action of actions) run.perform(action);
      run.finish();

      expect(run.damaged).toEqual([]);
      expect(run.cycles).toBeGreaterThan(1);
    }),
    { seed, numRuns: 150 },
  );
}, 60_000);

test("a flipped bit is found within a cycle, or shows in what is compared, or is gone with what it was in", () => {
  fc.assert(
    fc.property(
      fc.array(intact, { minLength: 2, maxLength: 20, size: "max" }),
      fc.array(intact, { maxLength: 20, size: "max" }),
      fc.nat(),
      (before, after, flipSeed) => {
        const run = new Run(new Draw(randomStream(flipSeed, "flip")));
        const twin = new Run(new Draw(randomStream(flipSeed, "flip")));
        for (const action of before) for (const each of [run, twin]) each.perform(action);
        run.perform({ kind: "flip" });
        for (const action of after) for (const each of [run, twin]) each.perform(action);
        run.finish();

        const isSeen = run.hasFailed || run.damaged.length > 0 || run.store.fingerprint() !== twin.store.fingerprint();
        expect(isSeen || run.content() === twin.content()).toBe(true);
      },
    ),
    { seed, numRuns: 250 },
  );
}, 60_000);

test.each(["map", "sorted", "set", "list", "cell"] as const)(
  "a bit that flips in the %s, in a value, a key or a place, is found by the next cycle",
  (name) => {
    for (let at = 0; at < 60; at += 1) {
      const draw = new Draw(randomStream(at, name));
      const run = new Run(draw);
      run.store.command((state) => {
        for (let key = 0; key < 100; key += 1) {
          write1(state, { kind: "set", key, value: { text: `value ${key}` } });
          write1(state, { kind: "setSorted", key, value: key * 1.5 });
          write1(state, { kind: "add", key, value: undefined });
          write1(state, { kind: "push", key, value: key % 2 === 0 });
        }
      });
      expect(doAll(run.store.scrubbing())).toEqual([]);

      run.flip(name);
      expect(doAll(run.store.scrubbing())).toEqual([name]);
    }
  },
);

class Run {
  readonly store = new CollectionStore({});
  damaged: string[] = [];
  cycles = 0;
  /** A command or an installation, by what was damaged. */
  hasFailed = false;
  #isFlipped = false;
  readonly #draw: Draw;
  #forked = this.store.fork();
  #steps: Steps<readonly string[]> = this.store.scrubbing();

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  perform(action: Action): void {
    switch (action.kind) {
      case "command":
        return this.#command(action);
      case "fork":
        this.#forked = this.store.fork();
        return;
      case "install":
        return this.#try(() => this.store.install(forkChunks(this.#forked)));
      case "scrub":
        for (let left = action.steps; left > 0; left -= 1) this.#step();
        return;
      default:
        return this.flip(undefined);
    }
  }

  /** The cycle that is under way, and a whole one. */
  finish(): void {
    const end = this.cycles + 2;
    while (this.cycles < end) this.#step();
  }

  content(): string {
    return forkChunks(this.store.fork()).map(String).join();
  }

  /** In one entry of a collection, behind its `set`. */
  flip(name: string | undefined): void {
    this.#isFlipped = true;
    const entries = this.store
      .view()
      .filter((content) => name === undefined || content.name === name)
      .flatMap(({ content }) => [...entriesOf(content.root)]);
    const entry = this.#draw.pick(entries) as { -readonly [Field in keyof TrieEntry]: TrieEntry[Field] };
    const isPlace = this.#draw.chance(0.1);
    const isKey = this.#draw.chance(0.2);
    const flipped = isKey ? undefined : withFlippedBit(entry.value, this.#draw);
    if (isPlace) entry.position ^= 1 << this.#draw.between(0, 29);
    else if (flipped === undefined) entry.key = withFlippedBit(entry.key, this.#draw) as TrieEntry["key"];
    else entry.value = flipped;
  }

  #step(): void {
    const { done, value } = this.#steps.next();
    if (done !== true) return;
    this.cycles += 1;
    this.damaged.push(...value);
    this.#steps = this.store.scrubbing();
  }

  #command({ writes, fails }: { readonly writes: readonly Write[]; readonly fails: boolean }): void {
    this.#try(() => {
      this.store.command((state) => {
        for (const one of writes) write1(state, one);
        if (fails) throw new Error("fails");
      });
    });
  }

  #try(run: () => void): void {
    try {
      run();
    } catch (cause) {
      if (cause instanceof Error && cause.message === "fails") return;
      if (!this.#isFlipped) throw cause;
      this.hasFailed = true;
    }
  }
}

function write1(state: TestState, { kind, key, value }: Write): void {
  switch (kind) {
    case "set":
      return state.map.set(key, value);
    case "delete":
      return void state.map.delete(key);
    case "setSorted":
      return state.sorted.set([key % 7, `key ${key}`], value);
    case "deleteSorted":
      return void state.sorted.delete([key % 7, `key ${key}`]);
    case "add":
      return void state.set.add(`member ${key}`);
    case "remove":
      return void state.set.delete(`member ${key}`);
    case "push":
      return state.list.push(value);
    case "pop":
      return void state.list.pop();
    case "setCell":
      return state.cell.set(value);
    default:
      state.map.clear();
      state.sorted.clear();
  }
}
