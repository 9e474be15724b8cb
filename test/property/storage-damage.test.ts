/**
 * Whatever one fault does to a log at rest (D3, D7, D8): no wrong entry is ever given out, and what is missing is named, or the
 * replica says that it is amnesiac.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Entry } from "../../src/model/entry.js";
import {
  directory,
  entryOf,
  formattedDisk,
  hardStateOf,
  indexOf,
  openedLog,
  smallSegment,
} from "../../test-support/log-world.js";
import type { MemoryDisk } from "../../test-support/memory-disk.js";
import { entryChecksum } from "../../src/storage/wal-format.js";
import { testHash } from "../../test-support/log-world.js";

const segment = `${directory}/log/0000000001.segment`;
const usedBytes = 40_000;
const entries = new Map<number, Entry>();
/** Of everything that was ever in the log: an amnesiac may show what was replaced later, behind the hole. */
const everWritten = new Set<number>();
const whole = written();

/** About 40 KB in one segment: small and larger entries, two terms, a truncation, tables and markers between. */
function written(): MemoryDisk {
  const disk = formattedDisk(smallSegment);
  const world = openedLog(disk, smallSegment);
  const append = (from: number, to: number, term: number): void => {
    for (let at = from; at <= to; at += 1) {
      const entry = entryOf("batch", { index: at, term, payload: new Uint8Array((at * 37) % 150).fill(at) });
      entries.set(at, entry);
      everWritten.add(entryChecksum(testHash, entry));
      world.write({ entries: [entry], truncateFrom: truncation(at, from, term) });
      if (at % 20 === 0) idle();
    }
  };
  const idle = (): void => {
    world.clock.advance(10);
    world.settle();
  };
  world.write({ hardState: hardStateOf(1, "a") });
  append(1, 100, 1);
  world.write({ hardState: hardStateOf(2, "b") });
  append(90, 180, 2);
  world.close();
  return disk;
}

function truncation(at: number, from: number, term: number): ReturnType<typeof indexOf> | undefined {
  return term === 2 && at === from ? indexOf(at) : undefined;
}

type Fault =
  | { readonly kind: "flip"; readonly at: number; readonly bit: number }
  | { readonly kind: "zero"; readonly at: number; readonly length: number }
  | { readonly kind: "copy"; readonly at: number; readonly to: number; readonly length: number };

const at = fc.integer({ min: 4096, max: usedBytes });
const length = fc.constantFrom(1, 8, 128, 512, 4096);
const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant("flip" as const), at, bit: fc.nat(7) }),
  fc.record({ kind: fc.constant("zero" as const), at, length }),
  fc.record({ kind: fc.constant("copy" as const), at, to: at, length }),
);

function apply(disk: MemoryDisk, one: Fault): void {
  disk.damage(segment, (bytes) => {
    if (one.kind === "flip") bytes[one.at] = (bytes[one.at] ?? 0) ^ (1 << one.bit);
    else if (one.kind === "zero") bytes.fill(0, one.at, one.at + one.length);
    else bytes.copyWithin(one.to, one.at, one.at + one.length);
  });
}

function isWrong(entry: Entry): boolean {
  const original = entries.get(entry.index);
  return original === undefined || entryChecksum(testHash, original) !== entryChecksum(testHash, entry);
}

test("a log with damage gives out no wrong entry, names what is missing, and is whole again once repaired", () => {
  fc.assert(
    fc.property(fc.array(fault, { minLength: 1, maxLength: 2 }), (faults) => {
      const disk = whole.copy();
      for (const one of faults) apply(disk, one);
      const world = openedLog(disk, smallSegment);
      const { recovered } = world;

      const shown = [
        ...recovered.tail.map((entry) => entryChecksum(testHash, entry)),
        ...recovered.damaged.map(({ checksum }) => checksum),
      ];
      expect(shown.filter((checksum) => !everWritten.has(checksum))).toEqual([]);
      if (recovered.amnesia !== undefined) return;
      expect(recovered.tail.filter(isWrong)).toEqual([]);
      for (const { index, checksum } of recovered.damaged) {
        const original = entries.get(index);
        expect(original && entryChecksum(testHash, original)).toBe(checksum);
      }
      // The end of the log is claimed by the last marker; a fault in that marker makes the last batch ambiguous.
      expect(recovered.lastIndex).toBeGreaterThanOrEqual(180 - 20);
      for (const { index } of recovered.damaged) {
        const original = entries.get(index);
        expect(original && world.repair(original)).toBeUndefined();
      }
      for (let from = 1; from <= recovered.lastIndex;) {
        const read = world.read(from, 20_000);
        if ("kind" in read) throw new Error(read.message);
        expect(read.filter(isWrong)).toEqual([]);
        from += read.length;
      }
    }),
    { seed: 20_265, numRuns: 200 },
  );
});
