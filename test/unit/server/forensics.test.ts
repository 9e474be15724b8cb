/** Where two replicas parted: the first differing entry of two trails, and the keys in which two states differ. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NamedEntry } from "../../../src/collections/snapshot-format.js";
import type { TrailEntry } from "../../../src/model/audit.js";
import type { LogIndex } from "../../../src/model/ids.js";
import {
  bucketOf,
  differentBuckets,
  differentEntries,
  firstDifference,
  SumsOfState,
  type StateSums,
} from "../../../src/server/forensics/compare.js";
import { findingFromJson, findingToJson } from "../../../src/server/forensics/finding-json.js";

const seed = 20_261_128;

/** A running digest of outputs stays different; a state is what it is at each entry. */
function trailOf(from: number, steps: readonly { readonly output: number; readonly state: number }[]): TrailEntry[] {
  let high = 0;
  return steps.map(({ output, state }, at) => {
    high = (Math.imul(high, 31) + output + 1) | 0;
    const digests = { output: { high, low: 1 }, state: { high: state, low: 2 } };
    return { index: (from + at) as LogIndex, time: at, kind: "batch", ...digests, content: undefined };
  });
}

describe("the first differing entry", () => {
  const steps = fc.array(fc.record({ output: fc.nat(3), state: fc.nat(3) }), { minLength: 1, maxLength: 60 });

  test("is the one that looking at each in turn finds, wherever both trails begin", () => {
    fc.assert(
      fc.property(steps, fc.nat(), fc.nat(5), fc.nat(5), fc.constantFrom("output", "state"), (all, where, ...more) => {
        const [skipLeft, skipRight, part] = more;
        const place = where % all.length;
        const changed = all.map((step, at) => (at === place ? { ...step, [part]: 9 } : step));
        const [left, right] = [trailOf(5, all).slice(skipLeft), trailOf(5, changed).slice(skipRight)];
        const found = firstDifference(left, right);

        const both = left.flatMap((one) =>
          right.filter(({ index }) => index === one.index).map((other) => [one, other]),
        );
        const expected = both.find(
          ([one, other]) => one?.output.high !== other?.output.high || one?.state.high !== other?.state.high,
        );
        expect(found?.left.index).toBe(expected?.[0]?.index);
        if (found !== undefined) expect(found.isExact).toBe(found.left.index !== both[0]?.[0]?.index);
      }),
      { seed, numRuns: 500 },
    );
  });

  test("is none where nothing is in common", () => {
    const step = { output: 1, state: 1 };
    expect(firstDifference(trailOf(1, [step]), trailOf(2, [step]))).toBeUndefined();
    expect(firstDifference([], trailOf(2, [step]))).toBeUndefined();
  });
});

test("states differ in exactly the keys of which only one has the value, found through the parts whose sums differ", () => {
  const entry = fc.record({
    name: fc.constantFrom("accounts", "lots"),
    key: fc.oneof(fc.nat(400), fc.string({ maxLength: 3 })),
    value: fc.oneof(fc.nat(2), fc.constant(null)),
  });
  const state = fc.uniqueArray(entry, { selector: ({ name, key }) => `${name} ${typeof key} ${key}`, maxLength: 120 });
  const sumsOf = (entries: readonly NamedEntry[]): StateSums => {
    const sums = new SumsOfState();
    for (const each of entries) sums.add(each);
    return sums.sums;
  };
  fc.assert(
    fc.property(state, state, (left, right) => {
      const buckets = differentBuckets(sumsOf(left), sumsOf(right));
      const isIn = ({ name, key }: NamedEntry): boolean =>
        buckets.some(({ collection, bucket }) => collection === name && bucket === bucketOf(key));
      const found = differentEntries(left.filter(isIn), right.filter(isIn));

      const whole = differentEntries(left, right);
      const byPlace = (entries: typeof found): string[] => entries.map((each) => JSON.stringify(each)).toSorted();
      expect(byPlace(found)).toEqual(byPlace(whole));
      const same = left.filter((one) =>
        right.some((other) => other.name === one.name && other.key === one.key && other.value === one.value),
      );
      expect(whole.length).toBe(
        new Set([...left, ...right].map(({ name, key }) => `${name} ${typeof key} ${key}`)).size - same.length,
      );
    }),
    { seed, numRuns: 100 },
  );
});

test("what was kept is the same after a journey as JSON, and what is in another form is refused", () => {
  const [first] = trailOf(7, [{ output: -1, state: 3 }]);
  if (first === undefined) throw new Error("one entry");
  const answers = [
    { reply: { status: "ok" as const, output: new Uint8Array([1, 2]), expiresAt: undefined }, repeated: true },
  ];
  const entries = [first, { ...first, index: 8 as LogIndex, content: { payload: new Uint8Array([3]), answers } }];
  const positions = { position: 9 as LogIndex, foundAt: 12 as LogIndex, agreedAt: 6 as LogIndex };
  const whose = { replica: "a", clusterId: "c", machine: "m" };
  const json: unknown = JSON.parse(
    JSON.stringify(
      findingToJson(whose, { ...positions, machineVersion: 2, before: undefined, after: undefined, entries }),
    ),
  );

  expect(findingFromJson(json)).toEqual({ ...whose, ...positions, machineVersion: 2, hasStates: false, entries });
  expect(findingFromJson({ ...(json as object), position: "9" })).toBeUndefined();
  expect(findingFromJson("nothing")).toBeUndefined();
});
