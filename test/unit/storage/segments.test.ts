/** The files of a log: the next one is ready before it is needed, and freed ones are used again. */
import { expect, test } from "vitest";
import {
  directory,
  entryAt,
  formattedDisk,
  logIdentity,
  openedLog,
  smallSegment,
  testHash,
} from "../../../test-support/log-world.js";
import { segmentHeaderBytes } from "../../../src/storage/wal-format.js";
import { scanSegment } from "../../../src/storage/wal-scan.js";
import { Segments } from "../../../src/storage/segments.js";

const logDirectory = `${directory}/log`;
const context = { hash: testHash, logIdentity };

test("the next segment is filled in step with the writes, and is there before the active one is full", () => {
  const bytes = 1024 * 1024;
  const disk = formattedDisk(bytes);
  const world = openedLog(disk, bytes);
  const prepared: number[] = [];
  for (let at = 1; at <= 60; at += 1) {
    world.write({ entries: [entryAt(at, 0, "x".repeat(10_000))] });
    if (disk.exists(`${logDirectory}/preparing`)) prepared.push(disk.bytesOf(`${logDirectory}/preparing`).length);
  }

  // 600 KB are used by now, and the next segment was asked for in quarters of a megabyte.
  expect([...new Set(prepared)]).toEqual([bytes / 4, bytes / 2, (bytes / 4) * 3]);
  expect(disk.list(logDirectory)).toEqual(["0000000001.segment", "0000000002.segment"]);
});

test("an idle log prepares nothing", () => {
  const disk = formattedDisk(smallSegment);
  const world = openedLog(disk, smallSegment);
  world.clock.advance(1000);
  world.settle();

  expect(disk.list(logDirectory)).toEqual(["0000000001.segment"]);
});

test("a freed segment becomes the next one without being filled again, and its old records are not found in it", () => {
  const disk = formattedDisk(smallSegment);
  const world = openedLog(disk, smallSegment);
  for (let at = 1; at <= 20; at += 1) world.write({ entries: [entryAt(at, 0, "old".padEnd(6000, "x"))] });
  world.close();
  const names = disk.list(logDirectory).filter((name) => name.endsWith(".segment"));
  const known = names.slice(0, 2).map((_, at) => ({ sequence: at + 1, base: at * smallSegment, bytes: smallSegment }));
  for (const name of names.slice(2)) disk.remove(`${logDirectory}/${name}`);

  let ready = 0;
  const segments = new Segments(
    { disk, context, directory: logDirectory, segmentBytes: smallSegment },
    { known, next: undefined, end: smallSegment + segmentHeaderBytes },
    () => (ready += 1),
  );
  segments.freeBefore(smallSegment);
  const spares = disk.list(logDirectory).filter((name) => name.startsWith("spare"));
  const writesBefore = disk.writes.length;
  expect(segments.roll()).toBe(false);
  disk.settle();
  expect(segments.roll()).toBe(true);

  const recycled = disk.bytesOf(`${logDirectory}/0000000003.segment`);
  expect(spares.length).toBe(1);
  expect(ready).toBe(1);
  // One write only: the header.
  expect(disk.writes.slice(writesBefore)).toMatchObject([{ at: 0, bytes: segmentHeaderBytes }]);
  expect(recycled.subarray(segmentHeaderBytes).some((byte) => byte !== 0)).toBe(true);
  expect([...scanSegment(recycled, 2 * smallSegment, context)]).toEqual([]);
});
