import { describe, expect, test } from "vitest";

import { compareKeys, positionCount, positionOf } from "../../../src/collections/key.js";
import { SnapshotRefused } from "../../../src/collections/snapshot-format.js";
import { CollectionStore, contentOf, forkChunks } from "../../../test-support/collection-store.js";

describe("values", () => {
  test("are copied and frozen on their way in, so nobody changes the state from outside", () => {
    const store = new CollectionStore({});
    const given = { tags: ["a"], nested: { deep: 1 } };
    store.command((state) => state.map.set("x", given));
    given.tags.push("b");
    given.nested.deep = 2;

    const kept = store.state.map.get("x") as typeof given;
    expect(kept).toEqual({ tags: ["a"], nested: { deep: 1 } });
    expect(() => kept.tags.push("c")).toThrow(TypeError);
    expect(Object.isFrozen(kept.nested)).toBe(true);
  });

  test("that are bytes are the reader's own copy, also deep inside", () => {
    const store = new CollectionStore({});
    const given = Uint8Array.of(1, 2);
    store.command((state) => state.map.set("x", { list: [given] }));
    given[0] = 9;
    const read = (): Uint8Array => (store.state.map.get("x") as { list: Uint8Array[] }).list[0] ?? new Uint8Array();
    read()[1] = 9;

    expect([...read()]).toEqual([1, 2]);
  });

  test("show their properties in one order, whether they were set or restored (N1)", () => {
    const store = new CollectionStore({});
    store.command((state) => state.map.set("x", { b: 1, "10": 2, a: 3, "9": 4, gone: undefined }));
    const restored = new CollectionStore({});
    restored.install(forkChunks(store.fork()));

    expect(Object.keys(store.state.map.get("x") as object)).toEqual(["9", "10", "a", "b"]);
    expect(Object.keys(restored.state.map.get("x") as object)).toEqual(["9", "10", "a", "b"]);
  });

  test("keep -0 and numbers beyond 2^53 through a snapshot, and __proto__ as a plain name (N4)", () => {
    const store = new CollectionStore({});
    store.command((state) => {
      state.list.push(-0);
      state.list.push(2 ** 53 + 2);
      state.list.push(JSON.parse('{"__proto__":{"polluted":1}}'));
    });
    const restored = new CollectionStore({});
    restored.install(forkChunks(store.fork()));

    for (const { list } of [store.state, restored.state]) {
      expect(Object.is(list.at(0), -0)).toBe(true);
      expect(list.at(1)).toBe(2 ** 53 + 2);
      expect(Object.keys(list.at(2) as object)).toEqual(["__proto__"]);
    }
    expect("polluted" in {}).toBe(false);
  });

  test.each([
    [{ balance: NaN }, 'Cannot encode value at map["x"].balance: NaN is not a finite number.'],
    [[() => 1], 'Cannot encode value at map["x"][0]: a function is not plain data.'],
    [new Date(0), 'Cannot encode value at map["x"]: an instance of Date is not plain data.'],
    ["\ud800", 'Cannot encode value at map["x"]: the string has a lone surrogate, which has no UTF-8.'],
    [undefined, 'Cannot encode value at map["x"]: undefined is not plain data.'],
    [[undefined], 'Cannot encode value at map["x"][0]: undefined and holes have no canonical form in an array.'],
  ])("without a canonical form are refused at set, with the path: %o (N4)", (value, message) => {
    const store = new CollectionStore({});

    expect(() => store.command((state) => state.map.set("x", value))).toThrow(message);
    expect(store.state.map.size).toBe(0);
  });

  test("of a cell that was declared with one cannot become undefined", () => {
    expect(() => new CollectionStore({}).command((state) => state.cell.set(undefined))).toThrow(
      "undefined is not plain",
    );
  });
});

describe("keys", () => {
  test("of different types are different, and 0 and -0 are one (N4)", () => {
    const store = new CollectionStore({});
    store.command((state) => {
      state.map.set(1, "number");
      state.map.set("1", "string");
      state.map.set(0, "zero");
      state.map.set(-0, "minus zero");
    });

    expect(store.state.map.size).toBe(3);
    expect(store.state.map.get(1)).toBe("number");
    expect(store.state.map.get(0)).toBe("minus zero");
    expect(
      Object.is(
        [...store.state.map.keys()].find((key) => key === 0),
        0,
      ),
    ).toBe(true);
  });

  test.each([NaN, Infinity, "\udfff", null, undefined, {}, Symbol("s"), [[1]]])("may not be %o", (key) => {
    const store = new CollectionStore({});

    expect(() => store.command((state) => state.sorted.set(key as never, 1))).toThrow(
      "Cannot encode value at a key of",
    );
  });

  test("are in one order across types: booleans, numbers, bigints, strings by UTF-16 units, tuples", () => {
    const ascending = [
      false,
      true,
      -1.5,
      0,
      10,
      -5n,
      3n,
      "",
      "10",
      "9",
      "a",
      "\ud83d\ude00",
      "\uffff",
      [],
      [1],
      [1, "a"],
      [1, "b"],
      [2],
    ];

    for (const [at, key] of ascending.entries()) {
      for (const [other, otherKey] of ascending.entries()) {
        expect(Math.sign(compareKeys(key, otherKey))).toBe(Math.sign(at - other));
      }
    }
  });

  test("keep the positions that snapshots of earlier releases were made with", () => {
    const positions = ["", "a", "account 1", "é", 0, 1, -1, 1.5, 2 ** 40, true, 5n, -5n].map(positionOf);

    expect(positions).toMatchInlineSnapshot(`
      [
        920368095,
        588337337,
        694898100,
        537508007,
        925983301,
        800303266,
        770976123,
        460772496,
        230938567,
        925983301,
        608643211,
        365796377,
      ]
    `);
  });

  test("that resemble each other are spread over all positions", () => {
    const counts = new Array<number>(16).fill(0);
    for (let number = 0; number < 16_000; number += 1) {
      for (const key of [`user:${number}`, number]) {
        const bucket = Math.floor((positionOf(key) / positionCount) * 16);
        counts[bucket] = (counts[bucket] ?? 0) + 1;
      }
    }

    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
  });
});

describe("iterating", () => {
  test("goes over the content at its start, whatever is deleted or added meanwhile", () => {
    const store = new CollectionStore({});
    store.command((state) => {
      for (let key = 0; key < 200; key += 1) {
        state.map.set(key, key);
        state.sorted.set(key, key);
        state.set.add(key);
        state.list.push(key);
      }
    });
    const seen = store.command((state) => {
      const counts = { map: 0, sorted: 0, set: 0, list: 0 };
      const late = [state.map.keys(), state.sorted.keys(), state.set.values(), state.list.values()];
      for (const [key] of state.map) {
        state.map.delete(key);
        state.map.set(`new ${key}`, 1);
        counts.map += 1;
      }
      for (const [key] of state.sorted.range({ from: 50, to: 150 })) {
        state.sorted.delete(key);
        state.sorted.set(Number(key) + 0.5, 1);
        counts.sorted += 1;
      }
      for (const key of state.set) {
        state.set.clear();
        state.set.add(`new ${key}`);
        counts.set += 1;
      }
      for (const _ of state.list) {
        state.list.pop();
        counts.list += 1;
      }
      return { counts, late: late.map((iterator) => [...iterator].length) };
    });

    expect(seen.counts).toEqual({ map: 200, sorted: 100, set: 200, list: 200 });
    expect(seen.late).toEqual([200, 200, 200, 200]);
    expect(store.state.list.length).toBe(0);
    expect(store.state.sorted.size).toBe(200);
  });

  test("has an order that a restored copy shares, integer-like keys included (N1)", () => {
    const store = new CollectionStore({});
    store.command((state) => {
      for (const key of ["10", "9", "a", "b", 10, 9]) {
        state.map.set(key, 1);
        state.set.add(key);
      }
      state.map.delete("9");
      state.map.set("9", 1);
    });
    const restored = new CollectionStore({});
    restored.install(forkChunks(store.fork()));

    expect(contentOf(restored.state)).toEqual(contentOf(store.state));
    expect(restored.digest()).toBe(store.digest());
  });
});

describe("budgets", () => {
  test("end a command that uses the state too often, even if it catches the error", () => {
    const store = new CollectionStore({ operationsMax: 100 });
    store.command((state) => {
      for (let key = 0; key < 50; key += 1) state.map.set(key, 1);
    });
    const before = store.digest();

    expect(() =>
      store.command((state) => {
        for (;;) state.map.set("x", state.map.size);
      }),
    ).toThrow("Cannot use the state more than 100 times in one command");
    expect(() =>
      store.command((state) => {
        state.map.set("y", 1);
        try {
          for (const _ of state.map) for (const __ of state.map) void __;
        } catch {
          // As user code might.
        }
      }),
    ).toThrow("Cannot use the state more than 100 times");
    expect(store.digest()).toBe(before);
  });

  test("end a command that writes too many bytes", () => {
    const store = new CollectionStore({ bytesMax: 1000 });

    expect(() => store.command((state) => state.list.push("x".repeat(2000)))).toThrow(
      "Cannot write more than 1000 bytes in one command",
    );
    expect(store.state.list.length).toBe(0);
  });
});

describe("writing", () => {
  test("is refused in a query, and when no command is being executed", () => {
    const store = new CollectionStore({});

    expect(() => store.query((state) => state.map.set("x", 1))).toThrow("Cannot write to map: queries only read");
    expect(() => store.query((state) => state.list.clear())).toThrow("Cannot write to list: queries only read");
    expect(() => store.state.cell.set(1)).toThrow("Cannot write to cell: no command is being executed");
  });

  test("outside of a list is refused", () => {
    const store = new CollectionStore({});

    expect(() => store.command((state) => state.list.set(0, 1))).toThrow("Cannot set list[0]: the list has 0 values");
  });
});

describe("a snapshot", () => {
  test("that is damaged, cut or of another machine is refused, and nothing changes", () => {
    const source = new CollectionStore({});
    source.command((state) => {
      for (let key = 0; key < 50; key += 1) state.map.set(key, { key });
    });
    const [whole] = forkChunks(source.fork());
    const bytes = whole ?? new Uint8Array();
    const store = new CollectionStore({});
    store.command((state) => state.map.set("kept", 1));
    const before = store.digest();
    const unknownName = bytes.slice();
    unknownName[2] = 0x7a;

    for (const damaged of [bytes.slice(0, -1), Uint8Array.of(7), unknownName, Uint8Array.of(1, 9, 9)]) {
      expect(() => store.install([damaged])).toThrow(SnapshotRefused);
      expect(store.digest()).toBe(before);
    }
  });

  test("comes in chunks of bounded size, which may be installed in any order", () => {
    const source = new CollectionStore({});
    source.command((state) => {
      for (let key = 0; key < 3000; key += 1) state.sorted.set(key, "v".repeat(100));
    });
    const chunks = forkChunks(source.fork());
    const restored = new CollectionStore({});
    restored.install(chunks.toReversed());

    expect(chunks.length).toBeGreaterThan(3);
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThan(70_000);
    expect(restored.digest()).toBe(source.digest());
    expect(restored.state.sorted.first()).toEqual([0, "v".repeat(100)]);
  });
});
