/**
 * The collections against plain JavaScript ones, through random writes, rollbacks, forks and restores (hazard N1).
 *
 * Few distinct keys, so that deletes, overwrites and ranges meet; and some keys of one hash position, so that buckets form.
 * Invariants M1, M2 (the trie), M3, M4 (the order of keys), M5 (both agree), M6 (lists) and M8 (rollback) would show here.
 */
import { isDeepStrictEqual } from "node:util";

import fc from "fast-check";
import { expect, test } from "vitest";

import { hexOf } from "../../src/base/bytes.js";
import { compareKeys } from "../../src/collections/key.js";
import { entriesInChunks } from "../../src/collections/snapshot-format.js";
import { StateFork } from "../../src/collections/state-fork.js";
import { nodeHash } from "../../src/node/hash.js";
import {
  CollectionStore,
  contentOf,
  forkChunks,
  forkDigest,
  type TestState,
} from "../../test-support/collection-store.js";
import { collidingNumbers } from "../../test-support/colliding-keys.js";
import { encodeValue } from "../../src/wire/canonical.js";
import { plainData } from "../../test-support/plain-data.js";

const seed = 20_260_102;

const colliding = collidingNumbers();

type MapKey = string | number;
type OrderKey = MapKey | readonly MapKey[];

type Write =
  | { readonly kind: "set" | "delete"; readonly key: MapKey; readonly value: unknown }
  | { readonly kind: "setSorted" | "deleteSorted"; readonly key: OrderKey; readonly value: unknown }
  | { readonly kind: "add" | "remove"; readonly key: MapKey }
  | { readonly kind: "push" | "setCell"; readonly value: unknown }
  | { readonly kind: "pop" | "clear" | "clearSorted" | "clearList" | "clearSet" }
  | { readonly kind: "setAt"; readonly at: number; readonly value: unknown };

const mapKey: fc.Arbitrary<MapKey> = fc.oneof(
  fc.integer({ min: -3, max: 60 }),
  fc.constantFrom(...colliding),
  fc.constantFrom("a", "b", "10", "9", "__proto__", "é"),
  fc.integer({ min: 0, max: 200 }).map((number) => `key ${number}`),
);
const orderKey: fc.Arbitrary<OrderKey> = fc.oneof(mapKey, fc.tuple(fc.integer({ min: 0, max: 9 }), mapKey));

const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("set", "delete"), key: mapKey, value: plainData }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constantFrom("setSorted", "deleteSorted"), key: orderKey, value: plainData }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("add", "remove"), key: mapKey }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("push", "setCell"), value: plainData }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("pop") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("setAt"), at: fc.nat(20), value: plainData }) },
) as fc.Arbitrary<Write>;
const clearing = fc.constantFrom("clear", "clearSorted", "clearList", "clearSet").map((kind): Write => ({ kind }));

type Step =
  | { readonly kind: "command"; readonly writes: readonly Write[]; readonly fails: boolean }
  | { readonly kind: "fork" | "restore" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("command" as const),
      writes: fc.array(fc.oneof({ weight: 30, arbitrary: write }, { weight: 1, arbitrary: clearing }), {
        maxLength: 60,
        size: "max",
      }),
      fails: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("fork" as const, "restore" as const) }) },
);

test("content, order, forks and digests are those of plain collections, through rollbacks and restores", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 14, size: "max" }), (steps) => {
      const run = new Run();
      for (const one of steps) run.perform(one);
      run.finish();
    }),
    { seed, numRuns: 250 },
  );
}, 60_000);

test("equal content has equal digests and equal order, whatever was inserted and deleted before, and in which order", () => {
  const pairs = fc.uniqueArray(fc.tuple(mapKey, plainData), { selector: ([key]) => key, maxLength: 80 });
  fc.assert(
    fc.property(pairs, fc.array(mapKey, { maxLength: 40 }), fc.nat(), (content, extra, rotation) => {
      const one = new CollectionStore({});
      const other = new CollectionStore({});
      const rotated = [
        ...content.slice(rotation % (content.length + 1)),
        ...content.slice(0, rotation % (content.length + 1)),
      ];
      one.command((state) => fill(state, content));
      other.command((state) => {
        for (const key of extra) fill(state, [[key, "soon gone"]]);
        for (const key of extra) {
          state.map.delete(key);
          state.sorted.delete(key);
          state.set.delete(key);
        }
      });
      const digestBetween = other.digest();
      other.command((state) => fill(state, rotated.reverse()));

      expect(digestBetween).toBe(new CollectionStore({}).digest());
      expect(other.digest()).toBe(one.digest());
      expect(isDeepStrictEqual(contentOf(other.state), contentOf(one.state))).toBe(true);
    }),
    { seed, numRuns: 300 },
  );
}, 60_000);

test("one changed value is another digest", () => {
  fc.assert(
    fc.property(fc.uniqueArray(mapKey, { minLength: 1, maxLength: 60 }), fc.nat(), (keys, which) => {
      const store = new CollectionStore({});
      store.command((state) =>
        fill(
          state,
          keys.map((key) => [key, 1]),
        ),
      );
      const before = store.digest();
      store.command((state) => state.map.set(keys[which % keys.length] ?? 0, 2));

      expect(store.digest()).not.toBe(before);
      store.command((state) => state.map.set(keys[which % keys.length] ?? 0, 1));
      expect(store.digest()).toBe(before);
    }),
    { seed, numRuns: 200 },
  );
});

test("changes are exactly the keys whose values differ, whether two forks share anything or nothing", () => {
  const writes = fc.array(fc.oneof({ weight: 30, arbitrary: write }, { weight: 1, arbitrary: clearing }), {
    maxLength: 80,
    size: "max",
  });
  fc.assert(
    fc.property(writes, writes, fc.boolean(), (first, second, isRestored) => {
      const store = new CollectionStore({});
      store.command((state) => first.forEach((one) => perform(state, one)));
      const before = store.fork();
      if (isRestored) store.install(forkChunks(before));
      store.command((state) => second.forEach((one) => perform(state, one)));
      const after = store.fork();
      const changes = [...new StateFork(after, nodeHash).changesSince(new StateFork(before, nodeHash))];

      const [old, now] = [entriesByKey(before), entriesByKey(after)];
      const expected = [...new Set([...old.keys(), ...now.keys()])].filter((key) => old.get(key) !== now.get(key));
      const found = changes.map(({ collection, key }) => placeOf(collection, key));
      expect(found.toSorted()).toEqual(expected.toSorted());
      for (const { collection, key, before: was, after: is } of changes) {
        const place = placeOf(collection, key);
        expect(was === undefined ? undefined : textOf(was.value)).toBe(old.get(place));
        expect(is === undefined ? undefined : textOf(is.value)).toBe(now.get(place));
      }
    }),
    { seed, numRuns: 300 },
  );
}, 60_000);

const textOf = (value: unknown): string => hexOf(encodeValue(value));
const placeOf = (collection: string, key: unknown): string => `${collection} ${textOf(key)}`;

function entriesByKey(fork: ReturnType<CollectionStore["fork"]>): ReadonlyMap<string, string> {
  const entries = entriesInChunks(forkChunks(fork));
  return new Map([...entries].map(({ name, key, value }) => [placeOf(name, key), textOf(value)]));
}

test("ranges are what filtering all keys gives", () => {
  const bound = fc.option(orderKey, { nil: undefined });
  fc.assert(
    fc.property(
      fc.uniqueArray(orderKey, { selector: (key) => JSON.stringify(key), maxLength: 300, size: "max" }),
      fc.record({
        from: bound,
        to: bound,
        through: bound,
        reverse: fc.boolean(),
        limit: fc.option(fc.nat(9), { nil: undefined }),
      }),
      (keys, given) => {
        const range = given.to === undefined ? given : { ...given, through: undefined };
        const store = new CollectionStore({});
        store.command((state) => {
          for (const key of keys) state.sorted.set(key, true);
        });
        const expected = keys
          .filter((key) => range.from === undefined || compareKeys(key, range.from) >= 0)
          .filter((key) => range.to === undefined || compareKeys(key, range.to) < 0)
          .filter((key) => range.through === undefined || compareKeys(key, range.through) <= 0)
          .sort(compareKeys);
        if (range.reverse) expected.reverse();

        expect([...store.state.sorted.range(range)].map(([key]) => key)).toEqual(
          expected.slice(0, range.limit ?? Infinity),
        );
      },
    ),
    { seed, numRuns: 300 },
  );
});

test("a scan returns everything that was there throughout, exactly once, while other keys come and go", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(mapKey, { maxLength: 120, size: "max" }),
      fc.array(fc.tuple(mapKey, fc.boolean()), { maxLength: 60 }),
      fc.integer({ min: 1, max: 12 }),
      (keys, changes, count) => {
        const changed = new Set(changes.map(([key]) => key));
        const store = new CollectionStore({});
        store.command((state) => {
          for (const key of keys) state.map.set(key, true);
        });
        const seen: MapKey[] = [];
        const pending = [...changes];
        for (let position: number | undefined = 0; position !== undefined;) {
          const page = store.query((state) => state.map.scan(position ?? 0, count));
          seen.push(...page.entries.map(([key]) => key));
          position = page.next;
          const change = pending.pop();
          if (change === undefined) continue;
          store.command((state) => (change[1] ? state.map.set(change[0], true) : void state.map.delete(change[0])));
        }
        const throughout = keys.filter((key) => !changed.has(key));

        expect(seen.filter((key) => !changed.has(key)).sort(compareKeys)).toEqual(throughout.sort(compareKeys));
      },
    ),
    { seed, numRuns: 300 },
  );
});

function fill(state: TestState, content: readonly (readonly [MapKey, unknown])[]): void {
  for (const [key, value] of content) {
    state.map.set(key, value);
    state.sorted.set(key, value);
    state.set.add(key);
  }
}

/** The plain collections that the real ones are compared with. */
interface Model {
  map: Map<MapKey, unknown>;
  sorted: Map<string, readonly [OrderKey, unknown]>;
  set: Set<MapKey>;
  list: unknown[];
  cell: unknown;
}

class Run {
  #store = new CollectionStore({});
  #model: Model = { map: new Map(), sorted: new Map(), set: new Set(), list: [], cell: "first" };
  readonly #forks: {
    readonly fork: ReturnType<CollectionStore["fork"]>;
    readonly content: unknown;
    readonly digest: string;
  }[] = [];

  perform(step: Step): void {
    if (step.kind === "command") this.#command(step.writes, step.fails);
    else if (step.kind === "fork") this.#fork();
    else this.#restore();
    this.#compare();
  }

  finish(): void {
    for (const { fork, content, digest } of this.#forks) {
      const restored = new CollectionStore({});
      restored.install(forkChunks(fork));

      expect(isDeepStrictEqual(contentOf(restored.state), content)).toBe(true);
      expect(forkDigest(fork)).toBe(digest);
      expect(restored.digest()).toBe(digest);
    }
  }

  #command(writes: readonly Write[], fails: boolean): void {
    const after = structuredClone(this.#model);
    const before = this.#store.digest();
    const body = (state: TestState): void => {
      for (const one of writes) expect(isDeepStrictEqual(perform(state, one), performPlainly(after, one))).toBe(true);
      if (fails) throw new Error("rolled back");
    };
    if (!fails) {
      this.#store.command(body);
      this.#model = after;
      return;
    }
    expect(() => this.#store.command(body)).toThrow("rolled back");
    expect(this.#store.digest()).toBe(before);
  }

  #fork(): void {
    // Digested elsewhere: the fork itself is first asked for its digest at the end, when the state has changed.
    const fork = this.#store.fork();
    const copy = new CollectionStore({});
    copy.install(forkChunks(fork));
    this.#forks.push({ fork, content: contentOf(this.#store.state), digest: copy.digest() });
  }

  #restore(): void {
    const restored = new CollectionStore({});
    restored.command((state) => state.map.set("replaced by the snapshot", 1));
    restored.install(forkChunks(this.#store.fork()));
    expect(isDeepStrictEqual(contentOf(restored.state), contentOf(this.#store.state))).toBe(true);
    this.#store = restored;
  }

  #compare(): void {
    const { state } = this.#store;
    const model = this.#model;
    expect(state.map.size).toBe(model.map.size);
    expect(isDeepStrictEqual(new Map(state.map), model.map)).toBe(true);
    const sorted = [...model.sorted.values()].sort(([one], [other]) => compareKeys(one, other));
    expect(isDeepStrictEqual([...state.sorted], sorted)).toBe(true);
    expect(isDeepStrictEqual([...state.sorted.range({ reverse: true })], sorted.reverse())).toBe(true);
    expect(isDeepStrictEqual(state.sorted.last(), sorted[0])).toBe(true);
    expect(isDeepStrictEqual(new Set(state.set), model.set)).toBe(true);
    expect(isDeepStrictEqual([...state.list], model.list)).toBe(true);
    expect(isDeepStrictEqual(state.cell.get(), model.cell)).toBe(true);
  }
}

function perform(state: TestState, write: Write): unknown {
  switch (write.kind) {
    case "set":
      return state.map.set(write.key, write.value);
    case "delete":
      return state.map.delete(write.key);
    case "setSorted":
      return state.sorted.set(write.key, write.value);
    case "deleteSorted":
      return state.sorted.delete(write.key);
    case "add":
      return state.set.add(write.key);
    case "remove":
      return state.set.delete(write.key);
    case "push":
      return state.list.push(write.value);
    case "pop":
      return state.list.pop();
    case "setAt":
      return write.at < state.list.length ? state.list.set(write.at, write.value) : undefined;
    case "setCell":
      return state.cell.set(write.value);
    case "clear":
      return state.map.clear();
    case "clearSorted":
      return state.sorted.clear();
    case "clearList":
      return state.list.clear();
    case "clearSet":
      return state.set.clear();
  }
}

function performPlainly(model: Model, write: Write): unknown {
  switch (write.kind) {
    case "set":
      return void model.map.set(write.key, write.value);
    case "delete":
      return model.map.delete(write.key);
    case "setSorted":
      return void model.sorted.set(JSON.stringify(write.key), [write.key, write.value]);
    case "deleteSorted":
      return model.sorted.delete(JSON.stringify(write.key));
    case "add":
      return model.set.size < model.set.add(write.key).size;
    case "remove":
      return model.set.delete(write.key);
    case "push":
      return void model.list.push(write.value);
    case "pop":
      return model.list.pop();
    case "setAt":
      if (write.at < model.list.length) model.list[write.at] = write.value;
      return undefined;
    case "setCell":
      return void (model.cell = write.value);
    case "clear":
      return model.map.clear();
    case "clearSorted":
      return model.sorted.clear();
    case "clearList":
      return void model.list.splice(0);
    case "clearSet":
      return model.set.clear();
  }
}
