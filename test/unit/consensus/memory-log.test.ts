import * as fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryLog } from "../../../src/consensus/memory-log.js";
import { entryBytes, noEntry, type Entry } from "../../../src/model/entry.js";
import { termRunsOf } from "../../../test-support/raft-disk.js";
import { entriesOf, i, id, t } from "../../../test-support/raft-core.js";

function logOf(terms: readonly number[], tailCount = terms.length): MemoryLog {
  const entries = entriesOf(terms);
  const tail = tailCount === 0 ? [] : entries.slice(-tailCount);
  return new MemoryLog({ start: noEntry, lastIndex: i(entries.length), terms: termRunsOf(entries), tail });
}

test("every index has its term, also those whose entries are not in memory", () => {
  const log = logOf([1, 1, 3, 3, 3, 7], 1);

  expect([0, 1, 2, 3, 4, 5, 6].map((index) => log.termAt(i(index)))).toEqual([0, 1, 1, 3, 3, 3, 7]);
  expect(log.last).toEqual(id(6, 7));
  expect(log.has(id(4, 3))).toBe(true);
  expect(log.has(id(4, 1))).toBe(false);
  expect(log.has(id(7, 7))).toBe(false);
});

test("the last entry not above a term skips whole terms, down to the place before the first", () => {
  const log = logOf([2, 2, 3, 3, 3, 7]);

  expect(log.lastNotAbove(i(6), t(5))).toEqual(id(5, 3));
  expect(log.lastNotAbove(i(4), t(3))).toEqual(id(4, 3));
  expect(log.lastNotAbove(i(6), t(2))).toEqual(id(2, 2));
  expect(log.lastNotAbove(i(6), t(1))).toEqual(id(0, 0));
  expect(log.lastNotAbove(i(99), t(9))).toEqual(id(6, 7));
  expect(logOf([]).lastNotAbove(i(3), t(3))).toEqual(id(0, 0));
});

test("reading gives at least one entry, then as many as fit, and says when one is not in memory", () => {
  const log = logOf([1, 1, 1, 1, 1], 3);
  const bytes = entryBytes(entriesOf([1])[0] as Entry);

  expect(log.entriesFrom(i(2), 1000)).toBeUndefined();
  expect(log.entriesFrom(i(3), 0)?.map(({ index }) => index)).toEqual([3]);
  expect(log.entriesFrom(i(3), 2 * bytes)?.map(({ index }) => index)).toEqual([3, 4]);
  expect(log.entriesFrom(i(6), 1000)).toEqual([]);
});

test("truncation below what is in memory leaves an empty cache that goes on from there", () => {
  const log = logOf([1, 1, 2, 2, 2], 2);

  log.truncateFrom(i(2));
  expect(log.cachedBytes).toBe(0);
  for (const entry of entriesOf([4, 4], 1)) log.append(entry);

  expect(log.entriesFrom(i(2), 1000)?.map(({ term }) => term)).toEqual([4, 4]);
  expect(log.entriesFrom(i(1), 1000)).toBeUndefined();
  expect(log.last).toEqual(id(3, 4));
});

test("eviction stops at the index that may be forgotten and at the bytes that may be kept", () => {
  const log = logOf([1, 1, 1, 1]);
  const bytes = log.cachedBytes / 4;

  log.evict(i(4), 3 * bytes);
  expect(log.cachedFrom).toBe(2);
  log.evict(i(2), 0);
  expect(log.cachedFrom).toBe(3);
  log.evict(i(4), 0);

  expect(log.cachedBytes).toBe(0);
  expect(log.entriesFrom(i(5), 10)).toEqual([]);
  expect(log.termAt(i(4))).toBe(1);
});

test("memory stays flat while a million entries pass through", () => {
  const log = logOf([]);
  const [entry] = entriesOf([1]);
  if (entry === undefined) throw new Error("one entry");

  let most = 0;
  for (let index = 1; index <= 1_000_000; index += 1) {
    log.append({ ...entry, index: i(index) });
    log.evict(i(index), 10_000);
    most = Math.max(most, log.cachedBytes);
  }

  expect(most).toBeLessThanOrEqual(10_000);
});

test("a log in memory agrees with a plain list whatever is appended, cut off and evicted", () => {
  const act = fc.record({
    kind: fc.constantFrom("append", "append", "append", "cut", "evict"),
    at: fc.nat(300),
    count: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const log = logOf([]);
      let model: Entry[] = [];
      let evicted = 0;
      for (const [number, { kind, at, count }] of acts.entries()) {
        const term = number + 1;
        if (kind === "append") {
          for (const entry of entriesOf(
            Array.from({ length: count }, () => term),
            model.length,
          )) {
            log.append(entry);
            model.push(entry);
          }
        } else if (kind === "cut" && model.length > 0) {
          const from = (at % model.length) + 1;
          log.truncateFrom(i(from));
          model = model.slice(0, from - 1);
          evicted = Math.min(evicted, model.length);
        } else if (kind === "evict") {
          log.evict(i(Math.min(at, model.length)), 500);
          evicted = log.cachedFrom - 1;
        }
        const cached = model.slice(evicted);
        expect(log.entriesFrom(i(evicted + 1), Infinity)).toEqual(cached);
        expect(log.cachedBytes).toBe(cached.reduce((sum, entry) => sum + entryBytes(entry), 0));
        expect(log.last).toEqual(model.length === 0 ? id(0, 0) : id(model.length, model.at(-1)?.term ?? 0));
        for (const { index, term: known } of model) expect(log.termAt(index)).toBe(known);
      }
    }),
    { numRuns: 60, seed: 7 },
  );
});
