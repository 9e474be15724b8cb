/** A log that has given back its beginning: what is left is whole after any restart, and what is gone is called so. */
import { expect, test } from "vitest";
import {
  directory,
  entryAt,
  formattedDisk,
  hardStateOf,
  indexOf,
  openedLog,
  smallSegment,
  textsOf,
  tryOpenLog,
  type LogWorld,
} from "../../../test-support/log-world.js";
import type { MemoryDisk } from "../../../test-support/memory-disk.js";

const logDirectory = `${directory}/log`;
const textOf = (index: number): string => `entry ${index}`.padEnd(6000, "x");

function filled(disk: MemoryDisk, to: number, from = 1): LogWorld {
  const world = openedLog(disk, smallSegment);
  if (from === 1) world.write({ hardState: hardStateOf(2, "b") });
  for (let at = from; at <= to; at += 1) world.write({ entries: [entryAt(at, 2, textOf(at))] });
  return world;
}

const segmentsOf = (disk: MemoryDisk): readonly string[] =>
  disk.list(logDirectory).filter((name) => name.endsWith(".segment"));

test("compaction gives back whole segments, and entries behind it are still read, before and after a restart", () => {
  const disk = formattedDisk(smallSegment);
  const world = filled(disk, 40);
  const before = segmentsOf(disk).length;
  world.log.compact(indexOf(25));
  world.settle();
  const after = segmentsOf(disk);
  const texts = textsOf(world.read(26, 100_000));
  world.close();
  const { recovered, ...again } = openedLog(disk, smallSegment);

  expect(after.length).toBeLessThan(before - 1);
  expect(after).not.toContain("0000000001.segment");
  expect(recovered.start).toMatchObject({ term: 2 });
  expect(recovered.start.index).toBeGreaterThan(15);
  expect(recovered.start.index).toBeLessThanOrEqual(25);
  expect(recovered.terms).toEqual([{ firstIndex: recovered.start.index + 1, term: 2 }]);
  expect(recovered.lastIndex).toBe(40);
  expect(textsOf(again.read(26, 100_000))).toEqual(texts);
  expect(texts[0]).toBe(textOf(26));
});

test("what was given back is called compacted, not damaged", () => {
  const disk = formattedDisk(smallSegment);
  const world = filled(disk, 40);
  world.log.compact(indexOf(30));
  world.settle();

  expect(world.read(3, 1000)).toMatchObject({ kind: "storageFailure", code: "compacted" });
  expect(openedLog(disk, smallSegment).read(3, 1000)).toMatchObject({ code: "compacted" });
});

test("a crash after any operation of a compaction leaves a log with all that is behind it (D14, D15)", () => {
  let isCut = true;
  for (let cutAfter = 0; isCut; cutAfter += 1) {
    for (const survival of ["nothing", "everything"] as const) {
      const disk = formattedDisk(smallSegment);
      const world = filled(disk, 40);
      world.log.compact(indexOf(25));
      for (let done = 0; done < cutAfter; done += 1) isCut = disk.step();
      disk.crash(survival);
      const again = filled(disk, 43, 41);

      expect(again.recovered).toMatchObject({ lastIndex: 40, damaged: [], amnesia: undefined });
      expect(textsOf(again.read(26, 200_000)).slice(0, 3)).toEqual([26, 27, 28].map(textOf));
      expect(textsOf(again.read(43, 200_000))).toEqual([textOf(43)]);
    }
  }
});

test("the log goes on and compacts again for ever in bounded space, through restarts", () => {
  const disk = formattedDisk(smallSegment);
  let most = 0;
  for (let round = 0; round < 12; round += 1) {
    const world = filled(disk, (round + 1) * 20, round * 20 + 1);
    world.log.compact(indexOf((round + 1) * 20 - 5));
    world.settle();
    most = Math.max(most, disk.list(logDirectory).length);
    world.close();
  }
  const { recovered } = openedLog(disk, smallSegment);

  expect(most).toBeLessThanOrEqual(8);
  expect(recovered.lastIndex).toBe(240);
  expect(textsOf(recovered.tail).at(-1)).toBe(textOf(240));
});

test("a reset drops everything and goes on behind the checkpoint, also after a restart (S2, S3)", () => {
  const disk = formattedDisk(smallSegment);
  const world = filled(disk, 20);
  const resetTo = { index: indexOf(700), term: world.recovered.hardState.term };
  world.write({ hardState: hardStateOf(3, undefined) });
  world.write({ resetTo: { ...resetTo, term: hardStateOf(3, undefined).term } });
  const gone = world.read(20, 1000);
  world.write({ entries: [entryAt(701, 3, "after")] });
  const there = textsOf(world.read(701, 1000));
  disk.crash("nothing");
  const again = openedLog(disk, smallSegment);

  expect(gone).toMatchObject({ code: "compacted" });
  expect(there).toEqual(["after"]);
  expect(again.recovered).toMatchObject({ start: { index: 700, term: 3 }, lastIndex: 701, amnesia: undefined });
  expect(textsOf(again.recovered.tail)).toEqual(["after"]);
  again.write({ entries: [entryAt(702, 3, "more")] });
  expect(textsOf(again.read(701, 1000))).toEqual(["after", "more"]);
});

test("a segment that is missing behind the start of the log is noticed", () => {
  const disk = formattedDisk(smallSegment);
  const world = filled(disk, 40);
  world.log.compact(indexOf(25));
  world.settle();
  world.close();
  disk.remove(`${logDirectory}/${segmentsOf(disk)[0]}`);

  expect(tryOpenLog(disk, smallSegment)).toMatchObject({ kind: "refused", code: "missing" });
});

test("damage in what was given back is forgotten with it", () => {
  const disk = formattedDisk(smallSegment);
  filled(disk, 40).close();
  disk.damage(`${logDirectory}/0000000001.segment`, (bytes) => bytes.fill(0, 4096 + 138, 4096 + 148));
  const world = openedLog(disk, smallSegment);
  const damaged = world.recovered.damaged.map(({ index }) => index);
  world.log.compact(indexOf(30));
  world.settle();
  world.close();

  expect(damaged).toEqual([1]);
  expect(openedLog(disk, smallSegment).recovered.damaged).toEqual([]);
});
