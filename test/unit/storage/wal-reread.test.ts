/** What has left the memory of the log's user is read back from the disk, whatever has happened to that disk before. */
import { expect, test } from "vitest";
import type { RecordHeader } from "../../../src/storage/wal-format.js";
import { recordBytes } from "../../../src/storage/wal-format.js";
import { scanSegment } from "../../../src/storage/wal-scan.js";
import {
  directory,
  entryAt,
  formattedDisk,
  hardStateOf,
  indexOf,
  logIdentity,
  openedLog,
  smallSegment,
  testHash,
  textsOf,
} from "../../../test-support/log-world.js";
import type { MemoryDisk } from "../../../test-support/memory-disk.js";

const segment = `${directory}/log/0000000001.segment`;
const count = 100;

function text(index: number): string {
  return `entry ${index}`.padEnd(40, ".");
}

/** Five entries, a marker, and so many more that a table names all that come before it. */
function diskWithMarker(): MemoryDisk {
  const disk = formattedDisk(smallSegment);
  for (const [from, to] of [
    [1, 5],
    [6, count],
  ] as const) {
    const world = openedLog(disk, smallSegment);
    if (from === 1) world.write({ hardState: hardStateOf(1, "a") });
    for (let at = from; at <= to; at += 1) world.write({ entries: [entryAt(at, 1, text(at))] });
    world.close();
  }
  return disk;
}

function recordsOf(disk: MemoryDisk): readonly RecordHeader[] {
  return [...scanSegment(disk.bytesOf(segment), 0, { hash: testHash, logIdentity })].map(({ header }) => header);
}

function textsRead(disk: MemoryDisk): readonly string[] {
  const world = openedLog(disk, smallSegment);
  const texts: string[] = [];
  while (texts.length < count) texts.push(...textsOf(world.read(texts.length + 1, 1_000)));
  world.close();
  return texts;
}

const all = Array.from({ length: count }, (_, at) => text(at + 1));

// A repaired record is chained to the last one that was readable before it, over a marker that stays unreadable. Recovery took the whole
// chain for a log without a gap, and made no point of the index behind the gap, so whoever read on from before it found nothing there.
test("D3: entries that were repaired on both sides of an unreadable marker are read back after the next start", () => {
  const disk = diskWithMarker();
  const records = recordsOf(disk);
  const marker = records.findIndex(({ kind, index }) => kind === "marker" && index === 5);
  const [first, last] = [records[marker - 2], records[marker + 2]];
  if (first === undefined || last === undefined) throw new Error("There is no marker between entries");

  disk.damage(segment, (bytes) => bytes.fill(0, first.position, last.position + recordBytes(last.bodyBytes)));
  const world = openedLog(disk, smallSegment);
  expect(world.recovered.damaged.map(({ index }) => index)).toEqual([4, 5, 6, 7]);
  for (const { index } of world.recovered.damaged) expect(world.repair(entryAt(index, 1, text(index)))).toBeUndefined();
  world.close();

  expect(openedLog(disk.copy(), smallSegment).recovered.damaged).toEqual([]);
  expect(textsRead(disk)).toEqual(all);
  expect(textsRead(disk)).toEqual(all);
});

test("D3: a marker that nobody can read any more hides nothing behind it", () => {
  const disk = diskWithMarker();
  const marker = recordsOf(disk).find(({ kind, index }) => kind === "marker" && index === 5);
  if (marker === undefined) throw new Error("There is no marker between entries");

  disk.damage(segment, (bytes) => bytes.fill(0, marker.position, marker.position + recordBytes(0)));

  expect(openedLog(disk.copy(), smallSegment).recovered.damaged).toEqual([]);
  expect(textsRead(disk)).toEqual(all);
});

// A replica that had just begun to follow read its own old entry from the disk, since the write that replaces it waited for the hard state, and
// executed it although another was decided in its place.
test("what a write that waits will replace is not read back, and what replaces it is once it is durable", () => {
  const world = openedLog(formattedDisk(smallSegment), smallSegment);
  world.write({ hardState: hardStateOf(1, "a") });
  for (let at = 1; at <= 5; at += 1) world.write({ entries: [entryAt(at, 1, `old ${at}`)] });

  // The hard state is on its way, so nothing else is yet.
  world.begin({ hardState: hardStateOf(2, "b") });
  world.begin({ truncateFrom: indexOf(4), entries: [entryAt(4, 2, "new 4"), entryAt(5, 2, "new 5")] });
  expect(textsOf(world.read(1, 100_000))).toEqual(["old 1", "old 2", "old 3"]);

  world.begin({ hardState: hardStateOf(3, "b") });
  world.begin({ truncateFrom: indexOf(5), entries: [entryAt(5, 3, "newest 5")] });
  expect(textsOf(world.read(5, 100_000))).toEqual(["newest 5"]);
  expect(textsOf(world.read(1, 100_000))).toEqual(["old 1", "old 2", "old 3", "new 4", "newest 5"]);
  world.close();
});

test("a read that is under way ends where a write replaces what it would come to", () => {
  const world = openedLog(formattedDisk(smallSegment), smallSegment);
  world.write({ hardState: hardStateOf(1, "a") });
  for (let at = 1; at <= 5; at += 1) world.write({ entries: [entryAt(at, 1, `old ${at}`)] });

  let found: unknown;
  world.log.read(indexOf(1), 100_000, (result) => (found = result));
  world.begin({ hardState: hardStateOf(2, "b") });
  world.begin({ truncateFrom: indexOf(4), entries: [entryAt(4, 2, "new 4")] });
  world.settle();
  expect(textsOf(found as Parameters<typeof textsOf>[0])).toEqual(["old 1", "old 2", "old 3"]);
  world.close();
});
