/** The sparse index: few points, and none that leads to what was dropped. */
import { expect, test } from "vitest";
import { OffsetIndex } from "../../../src/storage/offset-index.js";
import { indexOf } from "../../../test-support/log-world.js";

function filled(count: number, bytes: number): OffsetIndex {
  const offsets = new OffsetIndex();
  for (let at = 1; at <= count; at += 1)
    offsets.note({ index: indexOf(at), position: at * bytes, bytes, startsRun: false });
  return offsets;
}

test("there is a point every 64 entries or 64 KiB, so memory does not grow with each entry", () => {
  expect(filled(6400, 100).pointCount).toBe(100);
  expect(filled(6400, 1024 * 1024).pointCount).toBe(6400);
});

test("an entry is looked for from the nearest point before it, up to the next one", () => {
  const offsets = filled(200, 100);

  expect(offsets.find(indexOf(1))).toEqual({ position: 100, first: 1, end: 65 });
  expect(offsets.find(indexOf(64))).toEqual({ position: 100, first: 1, end: 65 });
  expect(offsets.find(indexOf(65))).toEqual({ position: 6500, first: 65, end: 129 });
  expect(offsets.find(indexOf(500))).toMatchObject({ first: 193, end: undefined });
});

test("after a truncation a search ends before the dropped entries and finds the new ones", () => {
  const offsets = filled(200, 100);
  offsets.dropFrom(indexOf(100));
  offsets.note({ index: indexOf(100), position: 50_000, bytes: 100, startsRun: true });

  expect(offsets.find(indexOf(99))).toEqual({ position: 6500, first: 65, end: 100 });
  expect(offsets.find(indexOf(100))).toEqual({ position: 50_000, first: 100, end: undefined });
});

test("W9: points that do not grow are our own bug", () => {
  const offsets = filled(1, 100);

  expect(() => offsets.note({ index: indexOf(1), position: 900, bytes: 1, startsRun: true })).toThrow("W9");
  expect(() => offsets.note({ index: indexOf(2), position: 50, bytes: 1, startsRun: true })).toThrow("W9");
});
